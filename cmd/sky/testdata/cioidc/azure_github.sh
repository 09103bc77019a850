#!/bin/sh
# Lets jobs of the environment a:b of acme/model on github act in Azure without keys.
# Fill in APP, the application's id, as az ad app create --display-name aloft-ci --query appId prints it.
# Fill in OWNER_ID and REPO_ID, or pass --owner-id and --repo-id: gh api repos/acme/model --jq '.owner.id, .id'
set -eu

# sky has no provider for Azure: no role is made of its calls here. The application may do nothing until you give it one.
cat > aloft-trust-1.json <<'END'
{
  "name": "aloft-ci-1",
  "issuer": "https://token.actions.githubusercontent.com",
  "subject": "repo:acme/model:environment:a%3Ab",
  "audiences": ["api://AzureADTokenExchange"]
}
END
az ad app federated-credential create --id APP --parameters aloft-trust-1.json
cat > aloft-trust-2.json <<'END'
{
  "name": "aloft-ci-2",
  "issuer": "https://token.actions.githubusercontent.com",
  "subject": "repo:acme@OWNER_ID/model@REPO_ID:environment:a%3Ab",
  "audiences": ["api://AzureADTokenExchange"]
}
END
az ad app federated-credential create --id APP --parameters aloft-trust-2.json
