package tasks

import (
	"fmt"
	"sort"
	"strings"
)

// variables are the env and secret overrides of the command line, merged.
type variables struct {
	envs, secrets map[string]string
	// fileOnly are values of --env-file, which also fill declared secrets.
	file map[string]string
	fill bool
}

// readVariables reads the files and flags. It reports problems under the name
// of the flag they come from.
func (c *checker) readVariables(o Overrides) (variables, bool) {
	vars := variables{envs: map[string]string{}, secrets: map[string]string{}, file: map[string]string{}, fill: o.FillRequired}
	ok := true
	load := func(flag string, paths []string, into map[string]string) {
		for _, path := range paths {
			src, err := readBounded(path, MaxFileSize)
			if err != nil {
				c.fail(position{file: flag}, "", err.Error(), "", "check the path")
				ok = false
				continue
			}
			pairs, errs := ParseDotenv(path, src, o.LookupEnv)
			for _, d := range errs {
				c.add(d.Severity, position{file: path, line: d.Line, column: d.Column}, "", d.Message, d.Allowed, d.Suggestion)
			}
			ok = ok && !errs.HasErrors()
			for _, kv := range pairs {
				into[kv.Key] = kv.Value
			}
		}
	}
	load("--env-file", o.EnvFiles, vars.file)
	for k, v := range vars.file {
		vars.envs[k] = v
	}
	load("--secret-file", o.SecretFiles, vars.secrets)
	flags := func(flag string, entries []string, into map[string]string) {
		for _, e := range entries {
			key, val, given := strings.Cut(e, "=")
			if !reEnvName.MatchString(key) {
				c.fail(position{file: flag}, "", quote(key)+" is not a variable name", "letters, digits and _, not starting with a digit", "")
				ok = false
				continue
			}
			if !given {
				found := false
				if o.LookupEnv != nil {
					val, found = o.LookupEnv(key)
				}
				if !found {
					c.fail(position{file: flag}, "", key+" is not set in the local environment", "", fmt.Sprintf("write %s %s=VALUE", flag, key))
					ok = false
					continue
				}
			}
			into[key] = val
		}
	}
	flags("--env", o.Env, vars.envs)
	flags("--secret", o.Secrets, vars.secrets)
	return vars, ok
}

// readEnvs reads envs or secrets: values become text as Python prints them.
// Null values come back in missing.
func (c *checker) readEnvs(v *value, path string, secret bool) (out map[string]string, missing map[string]position) {
	out, missing = map[string]string{}, map[string]position{}
	if v == nil {
		return out, missing
	}
	for _, e := range v.entries {
		name := e.name()
		at := join(path, name)
		c.mark(at, e.val.pos)
		if !reEnvName.MatchString(name) {
			c.fail(e.key.pos, at, quote(name)+" is not a variable name", "letters, digits and _, not starting with a digit", "")
			continue
		}
		if e.key.kind != kindText {
			c.warn(e.key.pos, at, fmt.Sprintf("YAML 1.1 reads the key %s as %s", e.key.text, name), "", fmt.Sprintf("write %q in quotes", e.key.text))
		}
		if e.val.broken {
			continue
		}
		if e.val.isNull() {
			missing[name] = e.key.pos
			continue
		}
		text := pyStr(e.val)
		out[name] = text
		switch {
		case e.val.kind == kindList || e.val.kind == kindMap:
			shown := quote(text)
			if secret {
				shown = "its Python form"
			}
			c.warn(e.val.pos, at, fmt.Sprintf("%s becomes the text %s", e.val.show(), shown), "text", "write the text you mean in quotes")
		case e.val.plain && e.val.kind != kindText && text != e.val.text:
			msg := fmt.Sprintf("YAML 1.1 changes %s to %s", e.val.text, quote(text))
			if secret {
				msg = "YAML 1.1 changes the text of this value"
			}
			c.warn(e.val.pos, at, msg, "", "put the value in quotes")
		}
	}
	return out, missing
}

// variables fills envs and secrets of a task: flags over files over YAML.
func (c *checker) variables(s section, t *Task, vars variables) {
	envs, noEnv := c.readEnvs(s.get("envs"), s.at("envs"), false)
	for k, v := range vars.envs {
		envs[k] = v
		delete(noEnv, k)
	}
	t.Envs = envs

	t.Secrets = map[string]Secret{}
	noSecret := map[string]position{}
	if v := s.get("secrets"); v != nil && v.kind == kindList {
		for i, it := range v.items {
			c.managedSecret(it, index(s.at("secrets"), i), t)
		}
	} else if v != nil {
		plain := &value{kind: kindMap, pos: v.pos}
		for _, e := range v.entries {
			if e.key.kind == kindText && strings.HasPrefix(e.key.text, managedPrefix) {
				if !e.val.isNull() {
					c.fail(e.val.pos, join(s.at("secrets"), e.key.text), "a reference to a managed secret takes no value", "null", "")
				}
				c.managedSecret(e.key, join(s.at("secrets"), e.key.text), t)
				continue
			}
			plain.entries = append(plain.entries, e)
		}
		var secrets map[string]string
		secrets, noSecret = c.readEnvs(plain, s.at("secrets"), true)
		for k, v := range secrets {
			t.Secrets[k] = NewSecret(v)
		}
	}
	for k, v := range vars.file {
		_, declared := t.Secrets[k]
		if _, null := noSecret[k]; declared || null {
			t.Secrets[k] = NewSecret(v)
			delete(noSecret, k)
		}
	}
	for k, v := range vars.secrets {
		t.Secrets[k] = NewSecret(v)
		delete(noSecret, k)
	}
	c.required(noEnv, s.at("envs"), "--env", vars.fill, func(k string) { t.Envs[k] = "dummy" })
	c.required(noSecret, s.at("secrets"), "--secret", vars.fill, func(k string) { t.Secrets[k] = NewSecret("dummy") })
}

func (c *checker) required(missing map[string]position, path, flag string, fill bool, set func(string)) {
	names := make([]string, 0, len(missing))
	for k := range missing {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		if fill {
			set(k)
			continue
		}
		c.fail(missing[k], join(path, k), k+" has no value, so the caller must give one", "",
			fmt.Sprintf(`pass %s %s=VALUE, or write %s: "" for an empty value`, flag, k, k))
	}
}

const managedPrefix = "secrets:"

func (c *checker) managedSecret(v *value, at string, t *Task) {
	if v.kind != kindText || !strings.HasPrefix(v.text, managedPrefix) || len(v.text) == len(managedPrefix) {
		c.fail(v.pos, at, "an entry of a list of secrets refers to a managed secret", "secrets:NAME, with an optional scope as in secrets:workspace.NAME",
			"write a map of name to value for secrets given here")
		return
	}
	t.addManaged(scopedSecret(strings.TrimPrefix(v.text, managedPrefix)))
}

// addManaged adds a reference once; a repeated one may bring the mount path.
func (t *Task) addManaged(ms ManagedSecret) {
	for i := range t.ManagedSecrets {
		if have := &t.ManagedSecrets[i]; have.Name == ms.Name && have.Scope == ms.Scope {
			if ms.MountPath != "" {
				have.MountPath = ms.MountPath
			}
			return
		}
	}
	t.ManagedSecrets = append(t.ManagedSecrets, ms)
}

func scopedSecret(name string) ManagedSecret {
	for _, scope := range []string{"personal", "workspace", "global"} {
		if rest, ok := strings.CutPrefix(name, scope+"."); ok && rest != "" {
			return ManagedSecret{Name: rest, Scope: scope}
		}
	}
	return ManagedSecret{Name: name}
}

// managedSecrets reads the managed_secrets section.
func (c *checker) managedSecrets(v *value, path string, t *Task) {
	if v == nil {
		return
	}
	for i, it := range v.items {
		name := strings.TrimPrefix(it.text, managedPrefix)
		if it.kind != kindText || name == "" {
			c.wrongKind(it, index(path, i), &field{kinds: kindText})
			continue
		}
		t.addManaged(scopedSecret(name))
	}
	mount := &table{title: "a managed secret", dropNull: true, fields: []field{{name: "mount_path", kinds: kindText}}}
	for _, e := range v.entries {
		ms := scopedSecret(strings.TrimPrefix(e.name(), managedPrefix))
		at := join(path, e.name())
		if ms.Name == "" {
			c.fail(e.key.pos, at, "a managed secret has an empty name", "a name", "")
		}
		switch e.val.kind {
		case kindNull:
		case kindMap:
			ms.MountPath = c.section(e.val, at, mount).text("mount_path")
		default:
			c.wrongKind(e.val, at, &field{kinds: kindMap})
		}
		t.addManaged(ms)
	}
}
