# Every command of the walkthrough that the production guide is held to, in its order.
# Charts are folders of this repository, so no chart repository is added.

helm install vault ./charts/vault \
  --namespace vault \
  --create-namespace \
  --set "server.ha.enabled=true" \
  --set "server.ha.raft.enabled=true"
kubectl get pods -n vault
kubectl exec -it -n vault vault-0 -- /bin/sh
vault operator init
vault operator unseal <UNSEAL_KEY_1>
vault operator unseal <UNSEAL_KEY_2>
vault operator unseal <UNSEAL_KEY_3>
vault status
kubectl exec -it -n vault vault-1 -- vault operator unseal <UNSEAL_KEY_1>
kubectl exec -it -n vault vault-1 -- vault operator unseal <UNSEAL_KEY_2>
kubectl exec -it -n vault vault-1 -- vault operator unseal <UNSEAL_KEY_3>
kubectl exec -it -n vault vault-2 -- vault operator unseal <UNSEAL_KEY_1>
kubectl exec -it -n vault vault-2 -- vault operator unseal <UNSEAL_KEY_2>
kubectl exec -it -n vault vault-2 -- vault operator unseal <UNSEAL_KEY_3>
helm install vault-secrets-operator ./charts/vault-secrets-operator \
  --namespace vault-secrets-operator \
  --create-namespace
kubectl get pods -n vault-secrets-operator
kubectl exec -it -n vault vault-0 -- /bin/sh
vault login <YOUR_INITIAL_ROOT_TOKEN>
vault secrets enable -path=secret kv-v2
vault auth enable kubernetes
vault write auth/kubernetes/config \
  token_reviewer_jwt="$(cat /var/run/secrets/kubernetes.io/serviceaccount/token)" \
  kubernetes_host="https://kubernetes.default.svc" \
  kubernetes_ca_cert=@/var/run/secrets/kubernetes.io/serviceaccount/ca.crt
vault policy write longhorn-r2-policy - <<EOF
path "secret/data/longhorn-r2" {
  capabilities = ["read"]
}
EOF
vault policy write argocd-secrets-reader - <<EOF
path "secret/data/argocd/*" {
  capabilities = ["read"]
}
EOF
vault write auth/kubernetes/role/longhorn-role \
  bound_service_account_names=default \
  bound_service_account_namespaces=longhorn-system \
  policies=longhorn-r2-policy \
  ttl=24h
vault write auth/kubernetes/role/argocd \
  bound_service_account_names=argocd-repo-server \
  bound_service_account_namespaces=argocd \
  policies=argocd-secrets-reader \
  ttl=24h
kubectl exec -it -n vault vault-0 -- /bin/sh
vault login <YOUR_ROOT_TOKEN>
vault kv put secret/longhorn-r2 \
  AWS_ACCESS_KEY_ID="YOUR_R2_ACCESS_KEY_ID" \
  AWS_SECRET_ACCESS_KEY="YOUR_R2_SECRET_ACCESS_KEY" \
  AWS_ENDPOINTS="https://<YOUR_ACCOUNT_ID>.r2.cloudflarestorage.com"
kubectl port-forward -n vault svc/vault 8200:8200
kubectl apply -f k3s-vault/vault-connection.yaml
kubectl apply -f k3s-vault/vault-auth.yaml
kubectl apply -f k3s-vault/longhorn-r2-vault-secret.yaml
kubectl get secret r2-longhorn-secret -n longhorn-system
kubectl get vaultsecret -n longhorn-system
kubectl port-forward -n vault svc/vault 8200:8200
kubectl exec -it -n vault vault-0 -- /bin/sh
vault login <TOKEN>
vault kv put secret/longhorn-r2 \
  AWS_ACCESS_KEY_ID="NEW_KEY" \
  AWS_SECRET_ACCESS_KEY="NEW_SECRET"
kubectl exec -it -n vault vault-0 -- /bin/sh
vault operator unseal <UNSEAL_KEY_1>
vault operator unseal <UNSEAL_KEY_2>
vault operator unseal <UNSEAL_KEY_3>
kubectl describe vaultsecret <name> -n <namespace>
kubectl logs -n vault-secrets-operator deployment/vault-secrets-operator
kubectl get vaultconnection -n <namespace>
kubectl get vaultauth -n <namespace>
kubectl exec -it -n vault vault-0 -- vault read auth/kubernetes/role/<role-name>
kubectl get serviceaccount -n <namespace>
kubectl exec -it -n vault vault-0 -- vault policy read <policy-name>
kubectl exec -it -n vault vault-0 -- vault kv get secret/longhorn-r2
kubectl get vaultsecret <name> -n <namespace> -o yaml
kubectl exec -it -n vault vault-0 -- vault status
kubectl exec -it -n vault vault-0 -- vault kv list secret/
kubectl get pods -n vault-secrets-operator
kubectl get vaultsecrets -A
kubectl get secrets -n longhorn-system | grep r2
