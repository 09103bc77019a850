package main

import (
	"fmt"
	"strings"
)

// head begins a script: what it is for, and what has to be filled in.
func (o *policyOptions) head(cloud string, wants ...string) string {
	var b strings.Builder
	which := "all steps"
	switch {
	case o.branch != "":
		which = "jobs of the branch " + o.branch
	case o.environment != "":
		which = "jobs of the environment " + o.environment
	case o.pull:
		which = "jobs of pull requests"
	}
	fmt.Fprintf(&b, "#!/bin/sh\n# Lets %s of %s on %s act in %s without keys.\n", which, o.repo, o.forge, cloud)
	for _, w := range wants {
		fmt.Fprintf(&b, "# Fill in %s.\n", w)
	}
	if cloud != "Google Cloud" && o.forge == "github" && (o.ownerID == "" || o.repoID == "") {
		fmt.Fprintf(&b, "# Fill in OWNER_ID and REPO_ID, or pass --owner-id and --repo-id: gh api repos/%s --jq '.owner.id, .id'\n", o.repo)
	}
	b.WriteString("set -eu\n\n")
	return b.String()
}

func (o *policyOptions) aws(policy string) string {
	host := strings.TrimPrefix(o.issuer(), "https://")
	audience := "sts.amazonaws.com"
	if o.forge == "bitbucket" {
		audience = "ari:cloud:bitbucket::workspace/" + o.workspaceID
	}
	subjects, like := o.subjects()
	equals, likes := fmt.Sprintf("%q: %q", host+":aud", audience), ""
	sub := fmt.Sprintf("%q: [\n          \"%s\"\n        ]", host+":sub", strings.Join(subjects, "\",\n          \""))
	if like {
		likes = ",\n      \"StringLike\": {\n        " + sub + "\n      }"
	} else {
		equals += ",\n        " + sub
	}
	return o.head("AWS", "ACCOUNT, the number of the account") + `cat > aloft-trust.json <<'END'
{
  "Version": "2012-10-17",
  "Statement": [{
    "Effect": "Allow",
    "Principal": {"Federated": "arn:aws:iam::ACCOUNT:oidc-provider/` + host + `"},
    "Action": "sts:AssumeRoleWithWebIdentity",
    "Condition": {
      "StringEquals": {
        ` + equals + `
      }` + likes + `
    }
  }]
}
END
cat > aloft-policy.json <<'END'
` + policy + `END
# Once for each account and server; it says EntityAlreadyExists where that was done.
aws iam create-open-id-connect-provider --url ` + o.issuer() + ` --client-id-list ` + audience + ` || true
aws iam create-role --role-name aloft-ci --assume-role-policy-document file://aloft-trust.json --max-session-duration 3600
aws iam put-role-policy --role-name aloft-ci --policy-name aloft --policy-document file://aloft-policy.json
`
}

func (o *policyOptions) gcp(role string) string {
	var mapping, condition, member, audience string
	switch o.forge {
	case "gitlab":
		mapping, member = "attribute.project=assertion.project_path", "attribute.project/"+o.repo
		condition = fmt.Sprintf("assertion.project_path=='%s' && assertion.ref_type=='branch' && assertion.ref=='%s'", o.repo, o.branch)
	case "bitbucket":
		mapping, member = "attribute.repository=assertion.repositoryUuid", "attribute.repository/{"+o.repoID+"}"
		condition = "assertion.repositoryUuid=='{" + o.repoID + "}'"
		if o.environment != "" {
			condition += " && assertion.deploymentEnvironmentUuid=='{" + o.environment + "}'"
		}
		audience = " \\\n  --allowed-audiences='ari:cloud:bitbucket::workspace/" + o.workspaceID + "'"
	default:
		// By claims, which are the same whichever form the subject has.
		mapping, member = "attribute.repository=assertion.repository", "attribute.repository/"+o.repo
		condition = "assertion.repository=='" + o.repo + "'"
		if o.repoID != "" {
			condition += " && assertion.repository_id=='" + o.repoID + "'"
		}
		switch {
		case o.branch != "":
			condition += " && assertion.ref=='refs/heads/" + o.branch + "'"
		case o.environment != "":
			condition += " && assertion.environment=='" + o.environment + "'"
		default:
			condition += " && assertion.event_name=='pull_request'"
		}
	}
	return o.head("Google Cloud", "PROJECT, the project's id, and NUMBER, its number") + `cat > aloft-role.yaml <<'END'
` + role + `END
gcloud iam roles create aloft --project=PROJECT --file=aloft-role.yaml
gcloud iam workload-identity-pools create aloft-ci --project=PROJECT --location=global
gcloud iam workload-identity-pools providers create-oidc ` + o.forge + ` --project=PROJECT --location=global \
  --workload-identity-pool=aloft-ci --issuer-uri=` + o.issuer() + audience + ` \
  --attribute-mapping='google.subject=assertion.sub,` + mapping + `' \
  --attribute-condition="` + condition + `"
gcloud iam service-accounts create aloft-ci --project=PROJECT
gcloud projects add-iam-policy-binding PROJECT --role=projects/PROJECT/roles/aloft \
  --member=serviceAccount:aloft-ci@PROJECT.iam.gserviceaccount.com
gcloud iam service-accounts add-iam-policy-binding aloft-ci@PROJECT.iam.gserviceaccount.com --project=PROJECT \
  --role=roles/iam.workloadIdentityUser \
  --member='principalSet://iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/aloft-ci/` + member + `'
`
}

func (o *policyOptions) azure() string {
	var b strings.Builder
	b.WriteString(o.head("Azure", "APP, the application's id, as az ad app create --display-name aloft-ci --query appId prints it"))
	b.WriteString("# sky has no provider for Azure: no role is made of its calls here. The application may do nothing until you give it one.\n")
	subjects, _ := o.subjects()
	for i, s := range subjects {
		fmt.Fprintf(&b, `cat > aloft-trust-%d.json <<'END'
{
  "name": "aloft-ci-%d",
  "issuer": "%s",
  "subject": "%s",
  "audiences": ["api://AzureADTokenExchange"]
}
END
az ad app federated-credential create --id APP --parameters aloft-trust-%d.json
`, i+1, i+1, o.issuer(), s, i+1)
	}
	return b.String()
}
