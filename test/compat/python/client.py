"""What a Python program does with the stock hvac client, from an uninitialized server on. The address is VAULT_ADDR; any difference raises."""

import os

import hvac
from hvac import exceptions

client = hvac.Client(url=os.environ["VAULT_ADDR"])


def refused(kind, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except kind:
        return
    raise AssertionError(f"{call} was not refused with {kind}")


assert client.sys.is_initialized() is False
made = client.sys.initialize(secret_shares=3, secret_threshold=2)
assert client.sys.is_sealed() is True
refused(exceptions.VaultDown, client.sys.list_mounted_secrets_engines)
assert client.sys.submit_unseal_keys(made["keys"][:2])["sealed"] is False
refused(exceptions.Forbidden, client.sys.list_mounted_secrets_engines)
client.token = made["root_token"]
assert client.is_authenticated()
assert client.sys.read_health_status(method="GET")["sealed"] is False

client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
assert client.sys.list_mounted_secrets_engines()["data"]["secret/"]["options"]["version"] == "2"
client.sys.tune_mount_configuration("secret", max_lease_ttl="2h")
assert client.sys.read_mount_configuration("secret")["data"]["max_lease_ttl"] == 7200
kv = client.secrets.kv.v2
assert kv.create_or_update_secret("app/db", {"k": "1"})["data"]["version"] == 1
refused(exceptions.InvalidRequest, kv.create_or_update_secret, "app/db", {"k": "2"}, cas=7)
kv.patch("app/db", {"l": "2"})
assert kv.read_secret_version("app/db")["data"]["data"] == {"k": "1", "l": "2"}
assert kv.list_secrets("app")["data"]["keys"] == ["db"]
refused(exceptions.InvalidPath, kv.read_secret_version, "none")
kv.delete_latest_version_of_secret("app/db")
refused(exceptions.InvalidPath, kv.read_secret_version, "app/db")
kv.undelete_secret_versions("app/db", [2])
assert kv.read_secret_metadata("app/db")["data"]["current_version"] == 2

client.sys.create_or_update_policy("reader", 'path "secret/data/app/*" { capabilities = ["read"] }')
assert "secret/data/app" in client.sys.read_policy("reader")["rules"]
assert "reader" in client.sys.list_policies()["policies"]
client.sys.enable_auth_method("userpass")
client.auth.userpass.create_or_update_user("ada", "right", policies="reader")
client.sys.enable_auth_method("approle")
client.auth.approle.create_or_update_approle("app", token_policies=["reader"])
role = client.auth.approle.read_role_id("app")["data"]["role_id"]
secret = client.auth.approle.generate_secret_id("app")["data"]["secret_id"]

reader = hvac.Client(url=os.environ["VAULT_ADDR"])
refused(exceptions.InvalidRequest, reader.auth.userpass.login, "ada", "wrong")
assert "reader" in reader.auth.userpass.login("ada", "right")["auth"]["policies"]
assert reader.secrets.kv.v2.read_secret_version("app/db")["data"]["data"]["k"] == "1"
refused(exceptions.Forbidden, reader.secrets.kv.v2.create_or_update_secret, "app/db", {})
reader.auth.token.renew_self()
reader.auth.token.revoke_self()
refused(exceptions.Forbidden, reader.auth.token.lookup_self)
reader.token = reader.auth.approle.login(role, secret)["auth"]["client_token"]
assert reader.auth.token.lookup_self()["data"]["meta"]["role_name"] == "app"

client.sys.enable_secrets_engine("transit")
client.secrets.transit.create_key("k")
box = client.secrets.transit.encrypt_data("k", "aGVsbG8=")["data"]["ciphertext"]
assert client.secrets.transit.decrypt_data("k", box)["data"]["plaintext"] == "aGVsbG8="
wrapped = client.auth.token.create(policies=["reader"], wrap_ttl="1m")["wrap_info"]["token"]
assert client.sys.unwrap(wrapped)["auth"]["policies"] == ["default", "reader"]
client.sys.seal()
assert client.sys.is_sealed() is True
print("ok")
