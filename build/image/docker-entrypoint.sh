#!/bin/sh
# Starts what the container is asked to run. As the well-known image has it:
#
#   server …         the server, with the configuration in /vault/config
#   vault server …   the server, with the configuration that the arguments name
#   agent, status …  any other command of the program
#   /bin/sh …        any other program
#
# VAULT_LOCAL_CONFIG          JSON or HCL, becomes a file of /vault/config
# VAULT_REDIRECT_INTERFACE    network interface whose address goes into VAULT_API_ADDR
# VAULT_CLUSTER_INTERFACE     network interface whose address goes into VAULT_CLUSTER_ADDR
#
# SKIP_CHOWN and SKIP_SETCAP are accepted: the image runs as user 100 from the start, so there is no ownership to
# change and no capability to give. What runs takes this shell's place, so it is process 1 and gets the signals.
set -e

config_dir=${VAULT_CONFIG_DIR:-/vault/config}

# address_of INTERFACE prints its first IPv4 address.
address_of() {
	address=$(ip -4 -o addr show dev "$1" | awk '{ sub("/.*", "", $4); print $4; exit }')
	if [ -z "$address" ]; then
		echo "docker-entrypoint.sh: interface $1 has no IPv4 address" >&2
		exit 1
	fi
	echo "$address"
}

if [ -n "$VAULT_REDIRECT_INTERFACE" ]; then
	address=$(address_of "$VAULT_REDIRECT_INTERFACE")
	export VAULT_API_ADDR="${VAULT_API_ADDR:-http://$address:8200}"
	echo "Using $VAULT_REDIRECT_INTERFACE for VAULT_API_ADDR: $VAULT_API_ADDR"
fi
if [ -n "$VAULT_CLUSTER_INTERFACE" ]; then
	address=$(address_of "$VAULT_CLUSTER_INTERFACE")
	export VAULT_CLUSTER_ADDR="${VAULT_CLUSTER_ADDR:-https://$address:8201}"
	echo "Using $VAULT_CLUSTER_INTERFACE for VAULT_CLUSTER_ADDR: $VAULT_CLUSTER_ADDR"
fi

# The server reads *.json and *.hcl; HCL in a file called .json is not JSON.
if [ -n "$VAULT_LOCAL_CONFIG" ]; then
	case $VAULT_LOCAL_CONFIG in
	\{*) printf '%s\n' "$VAULT_LOCAL_CONFIG" >"$config_dir/local.json" ;;
	*) printf '%s\n' "$VAULT_LOCAL_CONFIG" >"$config_dir/local.hcl" ;;
	esac
fi

case $1 in
-*) set -- server "$@" ;;
esac
if [ "$1" = server ]; then
	shift
	# A container's port is reached from outside it only when the server listens on all addresses.
	export VAULT_DEV_LISTEN_ADDRESS="${VAULT_DEV_LISTEN_ADDRESS:-0.0.0.0:8200}"
	for argument; do
		case $argument in
		-dev | --dev | -dev=true | -dev-tls | --dev-tls) exec vault server "$@" ;;
		esac
	done
	exec vault server -config="$config_dir" "$@"
fi
# What is no program on the PATH is a command of vault's.
if [ -n "$1" ] && ! which "$1" >/dev/null; then
	set -- vault "$@"
fi
exec "$@"
