#!/bin/sh
# Lets jobs of the environment production of acme/model on github act in Google Cloud without keys.
# Fill in PROJECT, the project's id, and NUMBER, its number.
set -eu

cat > aloft-role.yaml <<'END'
# What Aloft needs on Google Cloud, made from the calls that it makes (providers/gcp/permissions.go).
#   gcloud iam roles create aloft --project=PROJECT --file=docs/gcp-role.yaml
title: Aloft
description: Makes, lists and ends machines, and the network around them.
stage: GA
includedPermissions:
- compute.acceleratorTypes.list
- compute.disks.create
- compute.disks.setLabels
- compute.firewalls.create
- compute.firewalls.delete
- compute.firewalls.get
- compute.firewalls.update
- compute.globalOperations.get
- compute.globalOperations.list
- compute.images.useReadOnly
- compute.instances.create
- compute.instances.delete
- compute.instances.get
- compute.instances.getSerialPortOutput
- compute.instances.list
- compute.instances.setLabels
- compute.instances.setMetadata
- compute.instances.setServiceAccount
- compute.instances.setTags
- compute.instances.start
- compute.instances.stop
- compute.machineTypes.list
- compute.networks.create
- compute.networks.get
- compute.networks.updatePolicy
- compute.projects.get
- compute.regionOperations.get
- compute.regions.get
- compute.resourcePolicies.create
- compute.resourcePolicies.delete
- compute.resourcePolicies.get
- compute.resourcePolicies.use
- compute.subnetworks.use
- compute.subnetworks.useExternalIp
- compute.zoneOperations.get
- iam.serviceAccounts.actAs
END
gcloud iam roles create aloft --project=PROJECT --file=aloft-role.yaml
gcloud iam workload-identity-pools create aloft-ci --project=PROJECT --location=global
gcloud iam workload-identity-pools providers create-oidc github --project=PROJECT --location=global \
  --workload-identity-pool=aloft-ci --issuer-uri=https://token.actions.githubusercontent.com \
  --attribute-mapping='google.subject=assertion.sub,attribute.repository=assertion.repository' \
  --attribute-condition="assertion.repository=='acme/model' && assertion.repository_id=='4711' && assertion.environment=='production'"
gcloud iam service-accounts create aloft-ci --project=PROJECT
gcloud projects add-iam-policy-binding PROJECT --role=projects/PROJECT/roles/aloft \
  --member=serviceAccount:aloft-ci@PROJECT.iam.gserviceaccount.com
gcloud iam service-accounts add-iam-policy-binding aloft-ci@PROJECT.iam.gserviceaccount.com --project=PROJECT \
  --role=roles/iam.workloadIdentityUser \
  --member='principalSet://iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/aloft-ci/attribute.repository/acme/model'
