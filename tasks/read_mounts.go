package tasks

import (
	"fmt"
	"sort"
	"strings"
)

// bucketSchemes are the URI schemes of object stores.
var bucketSchemes = []string{"s3", "gs", "r2", "cos", "oci", "nebius", "cw", "vastdata", "hf"}

var (
	reScheme    = newPattern(`^([a-z][a-z0-9+.-]*)://`)
	reAzureBlob = newPattern(`^https://[^/]+\.blob\.core\.windows\.net(?:/|$)`)
	// Characters no object store takes in a bucket name. Braces are left out:
	// a variable that is not set stays in the text.
	reBadBucket = newPattern("[\\s\"'\\\\<>`^|\\x00-\\x1f]")
)

// IsBucketURI reports whether s names a bucket (s3://, gs://, an Azure blob URL ...).
func IsBucketURI(s string) bool {
	m := reScheme.FindStringSubmatch(s)
	return m != nil && (isChoice(m[1], bucketSchemes, false) || reAzureBlob.MatchString(s))
}

// IsURI reports whether s is any URI rather than a local path.
func IsURI(s string) bool { return reScheme.MatchString(s) }

func (c *checker) fileMounts(v *value, t *Task) {
	if v == nil {
		return
	}
	t.HasFileMounts = true
	seen := map[string]bool{}
	for _, e := range v.entries {
		dst := e.name()
		at := join("file_mounts", e.label())
		c.sameTarget(seen, e, at)
		switch e.val.kind {
		case kindText:
			c.checkBucket(e.val, at)
			t.FileMounts = append(t.FileMounts, FileMount{Dst: dst, Src: e.val.text})
		case kindMap:
			t.StorageMounts = append(t.StorageMounts, c.storage(e.val, at, dst))
		default:
			c.fail(e.val.pos, at, fmt.Sprintf("%s cannot be mounted", e.val.show()), "a local path, a URI, or a map that describes storage", "")
		}
	}
	sort.SliceStable(t.FileMounts, func(i, j int) bool { return t.FileMounts[i].Dst < t.FileMounts[j].Dst })
	sort.SliceStable(t.StorageMounts, func(i, j int) bool { return t.StorageMounts[i].Dst < t.StorageMounts[j].Dst })
}

// sameTarget reports keys that substitution made equal.
func (c *checker) sameTarget(seen map[string]bool, e *entry, at string) {
	if seen[e.name()] {
		c.fail(e.key.pos, at, "another entry has the same path once variables are replaced", "", "give each entry a path of its own")
	}
	seen[e.name()] = true
}

// checkBucket rejects bucket names that no store can have; most often they
// come from a variable with quotes in its value.
func (c *checker) checkBucket(v *value, at string) {
	if !IsBucketURI(v.text) {
		return
	}
	_, rest, _ := strings.Cut(v.text, "://")
	bucket, _, _ := strings.Cut(rest, "/")
	if reBadBucket.MatchString(bucket) {
		c.fail(v.pos, at, v.show()+" holds a character that no bucket name can have", "letters, digits, '-', '_' and '.'",
			"check the value of the variable")
	}
}

func (c *checker) storage(v *value, at, dst string) StorageMount {
	s := c.section(v, at, storageTable())
	m := StorageMount{Dst: dst, Name: s.text("name"), Store: strings.ToUpper(s.text("store")), Persistent: true,
		Mode: "MOUNT", Type: strings.ToUpper(s.text("type"))}
	if mode := s.text("mode"); mode != "" {
		m.Mode = strings.ToUpper(mode)
	}
	if p := s.get("persistent"); p != nil && p.kind == kindBool {
		m.Persistent = p.b
	}
	if src := s.get("source"); src != nil && src.kind == kindText {
		c.checkBucket(src, s.at("source"))
		m.Sources = []string{src.text}
	} else if src != nil && src.kind == kindList {
		m.SourceIsList = true
		if len(src.items) == 0 {
			c.fail(src.pos, s.at("source"), "the list of sources is empty", "at least one path", "")
		}
		for i, it := range src.items {
			if it.kind != kindText {
				c.wrongKind(it, index(s.at("source"), i), &field{kinds: kindText})
				continue
			}
			m.Sources = append(m.Sources, it.text)
		}
	}
	if cfg := s.get("config"); cfg != nil {
		c.nested(cfg, s.at("config"), storageConfigTable())
		m.Config, _ = cfg.data().(map[string]any)
		c.storageConfig(cfg, s.at("config"), m)
	}
	if m.Type != "" && m.Mode != "MOUNT_CACHED" {
		c.fail(s.get("type").pos, s.at("type"), fmt.Sprintf("type %s needs mode MOUNT_CACHED, not %s", m.Type, m.Mode), "", "set mode: MOUNT_CACHED")
	}
	return m
}

var (
	reMountSize = newPattern(`(?i)^\d+(?:\.\d+)?[bkmgtp]?(?:i?b)?$|^off$`)
	reMountAge  = newPattern(`^(?:\d+(?:\.\d+)?(?:ms|[smhdwMy]))+$|^off$`)
)

func (c *checker) storageConfig(cfg *value, at string, m StorageMount) {
	for _, part := range []struct{ key, mode string }{{"mount", "MOUNT"}, {"mount_cached", "MOUNT_CACHED"}} {
		v := cfg.get(part.key)
		if v.isNull() {
			continue
		}
		if m.Mode != part.mode {
			c.fail(v.pos, join(at, part.key), fmt.Sprintf("config.%s has no effect with mode %s", part.key, m.Mode), "", "set mode: "+part.mode)
		}
		for _, e := range v.entries {
			if e.val.kind != kindText {
				continue
			}
			p := join(join(at, part.key), e.name())
			switch e.name() {
			case "buffer_size", "vfs_cache_max_size", "vfs_read_ahead", "vfs_read_chunk_size":
				if !reMountSize.MatchString(e.val.text) {
					c.fail(e.val.pos, p, e.val.show()+" is not a size", "a number with K, M, G or T, such as 64M", "")
				}
			case "vfs_cache_max_age", "vfs_write_back":
				if !reMountAge.MatchString(e.val.text) {
					c.fail(e.val.pos, p, e.val.show()+" is not a duration", "a number with s, m, h or d, such as 1h", "")
				}
			}
		}
	}
}
