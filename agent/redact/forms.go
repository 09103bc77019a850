package redact

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
)

// forms lists the ways in which a value may show up, each at least MinValue long.
func forms(value string) []string {
	// Files end in a newline that programs strip.
	values := []string{value}
	if t := strings.TrimSpace(value); t != value {
		values = append(values, t)
	}
	var all []string
	for _, v := range values {
		if len(v) < MinValue {
			continue
		}
		all = append(all, v)
		if len(v) < MinEncoded {
			continue
		}
		for _, e := range encoded(v) {
			if len(e) >= MinValue && e != v {
				all = append(all, e)
			}
		}
	}
	return all
}

func encoded(v string) []string {
	query, path := url.QueryEscape(v), url.PathEscape(v)
	all := []string{query, path, lowerEscapes(query), lowerEscapes(path)}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		all = append(all, enc.EncodeToString([]byte(v)), enc.WithPadding(base64.NoPadding).EncodeToString([]byte(v)))
		for shift := range 3 {
			all = append(all, aligned(enc, v, shift))
		}
	}
	for _, html := range []bool{true, false} {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(html)
		if enc.Encode(v) == nil {
			all = append(all, b.String()[1:b.Len()-2]) // without the quotes and the newline
		}
	}
	return all
}

// aligned is the part of v's base64 form that does not depend on the shift bytes before it nor on what follows: three
// bytes make four characters, so a value may begin at any of three places.
func aligned(enc *base64.Encoding, v string, shift int) string {
	raw := enc.WithPadding(base64.NoPadding).EncodeToString([]byte(strings.Repeat("\x00", shift) + v))
	first := (shift*8 + 5) / 6
	last := (shift + len(v)) * 8 / 6
	return raw[first:last]
}

// lowerEscapes writes %2F as %2f, as some encoders do.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], strings.ToLower(string(b[i+1:i+3])))
			i += 2
		}
	}
	return string(b)
}
