package oidclab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// amazon is STS, and as much of EC2 as a dry run needs.
func (l *Lab) amazon(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	action := r.PostForm.Get("Action")
	if action == "AssumeRoleWithWebIdentity" {
		l.assume(w, r)
		return
	}
	if !l.valid(r.Header.Get("X-Amz-Security-Token")) || !strings.Contains(r.Header.Get("Authorization"), "Credential=ASIALAB") {
		amazonError(w, http.StatusForbidden, action != "GetCallerIdentity", "ExpiredToken", "The security token included in the request is expired")
		return
	}
	switch {
	case action == "GetCallerIdentity":
		xml(w, http.StatusOK, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>`+
			`<Arn>arn:aws:sts::111122223333:assumed-role/aloft-ci/aloft-99</Arn><UserId>AROALAB:aloft-99</UserId><Account>111122223333</Account>`+
			`</GetCallerIdentityResult></GetCallerIdentityResponse>`)
	case r.PostForm.Get("DryRun") == "true":
		amazonError(w, http.StatusPreconditionFailed, true, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
	case action != "":
		amazonError(w, http.StatusBadRequest, true, "InvalidParameterValue", "the laboratory has nothing of this kind")
	default: // the services that speak JSON
		w.Header().Set("X-Amzn-Errortype", "ValidationException")
		answer(w, http.StatusBadRequest, map[string]string{"__type": "ValidationException", "message": "the laboratory has nothing of this kind"})
	}
}

func (l *Lab) assume(w http.ResponseWriter, r *http.Request) {
	f := r.PostForm
	if f.Get("RoleArn") != Role || f.Get("RoleSessionName") == "" || r.Header.Get("Authorization") != "" {
		amazonError(w, http.StatusForbidden, false, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
		return
	}
	switch err := l.verify(f.Get("WebIdentityToken"), "sts.amazonaws.com"); {
	case errors.Is(err, errEnded):
		amazonError(w, http.StatusBadRequest, false, "ExpiredTokenException", err.Error())
		return
	case errors.Is(err, errSubject):
		amazonError(w, http.StatusForbidden, false, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
		return
	case err != nil:
		// The token is repeated, as a server in trouble might.
		amazonError(w, http.StatusBadRequest, false, "InvalidIdentityToken", err.Error()+": "+f.Get("WebIdentityToken"))
		return
	}
	word, ends := l.open("session")
	xml(w, http.StatusOK, fmt.Sprintf(`<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>`+
		`<Credentials><AccessKeyId>ASIALAB</AccessKeyId><SecretAccessKey>lab-secret</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials>`+
		`<AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/aloft-ci/%s</Arn><AssumedRoleId>AROALAB:x</AssumedRoleId></AssumedRoleUser>`+
		`</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, word, ends.UTC().Format(time.RFC3339), f.Get("RoleSessionName")))
}

func xml(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// amazonError is an error as EC2 writes it, or STS.
func amazonError(w http.ResponseWriter, status int, ec2 bool, code, message string) {
	body := fmt.Sprintf("<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
	if ec2 {
		xml(w, status, "<Response><Errors>"+body+"</Errors><RequestID>lab</RequestID></Response>")
		return
	}
	xml(w, status, "<ErrorResponse>"+body+"<RequestId>lab</RequestId></ErrorResponse>")
}

// exchange is Google's STS.
func (l *Lab) exchange(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f := r.PostForm
	refuse := func(code, why string) {
		answer(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": why})
	}
	if f.Get("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange" || f.Get("subject_token_type") != "urn:ietf:params:oauth:token-type:jwt" ||
		f.Get("requested_token_type") != "urn:ietf:params:oauth:token-type:access_token" || f.Get("scope") == "" {
		refuse("invalid_request", "a field is missing")
		return
	}
	if f.Get("audience") != "//iam.googleapis.com/"+Pool {
		refuse("invalid_target", "The target service indicated by the \"audience\" parameters is invalid.")
		return
	}
	switch err := l.verify(f.Get("subject_token"), "https://iam.googleapis.com/"+Pool, "//iam.googleapis.com/"+Pool); {
	case errors.Is(err, errSubject):
		answer(w, http.StatusForbidden, map[string]string{"error": "unauthorized_client", "error_description": "The given credential is rejected by the attribute condition."})
		return
	case err != nil:
		refuse("invalid_grant", err.Error()+": "+f.Get("subject_token"))
		return
	}
	word, ends := l.open("federated")
	answer(w, http.StatusOK, map[string]any{"access_token": word, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
		"token_type": "Bearer", "expires_in": int(time.Until(ends).Round(time.Second).Seconds())})
}

// impersonate is Google's generateAccessToken.
func (l *Lab) impersonate(w http.ResponseWriter, r *http.Request) {
	word := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !strings.HasPrefix(word, "federated-") || !l.valid(word) {
		googleError(w, http.StatusUnauthorized, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
		return
	}
	if !strings.HasSuffix(r.URL.Path, "/serviceAccounts/"+Account+":generateAccessToken") {
		googleError(w, http.StatusForbidden, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).")
		return
	}
	word, ends := l.open("impersonated")
	answer(w, http.StatusOK, map[string]string{"accessToken": word, "expireTime": ends.UTC().Format(time.RFC3339)})
}

// google is as much of Google's APIs as `sky check` needs; every permission is granted.
func (l *Lab) google(w http.ResponseWriter, r *http.Request) {
	if !l.valid(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
		googleError(w, http.StatusUnauthorized, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
		return
	}
	if strings.HasSuffix(r.URL.Path, ":testIamPermissions") {
		var b map[string]any
		if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
			googleError(w, http.StatusBadRequest, "INVALID_ARGUMENT", "not JSON")
			return
		}
		answer(w, http.StatusOK, b)
		return
	}
	answer(w, http.StatusOK, map[string]string{"name": "lab-project", "kind": "compute#project"})
}

func googleError(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"error": map[string]any{"code": status, "status": code, "message": message}})
}
