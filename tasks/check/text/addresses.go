package text

import (
	"strings"
	"unicode/utf8"
)

// urls lists what the expression https?://(?:[-\w.]|(?:%[\da-fA-F]{2}))+ matches.
func (d *document) urls() []string {
	if d.links != nil {
		return *d.links
	}
	var out []string
	for rest := d.text; ; {
		at := strings.Index(rest, "http")
		if at < 0 {
			break
		}
		rest = rest[at:]
		head := "http://"
		if !strings.HasPrefix(rest, head) {
			head = "https://"
		}
		end := len(head)
		if !strings.HasPrefix(rest, head) {
			rest = rest[len("http"):]
			continue
		}
		for end < len(rest) {
			r, n := utf8.DecodeRuneInString(rest[end:])
			if r == '%' && end+2 < len(rest) && isHex(rest[end+1]) && isHex(rest[end+2]) {
				end += 3
				continue
			}
			if r != '-' && r != '.' && notWord(r) {
				break
			}
			end += n
		}
		if end > len(head) {
			out = append(out, rest[:end])
		}
		rest = rest[end:]
	}
	d.links = &out
	return out
}

// isHex tells hexadecimal digits.
func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

// emails lists the e-mail addresses: letters, digits and any of ._%+- before
// the @, letters, digits and any of .- behind it, and at the end a point with
// two letters or more.
func (d *document) emails() []string {
	if d.mails != nil {
		return *d.mails
	}
	var out []string
	s := d.text
	from := 0 // what is before was matched
	for {
		at := strings.IndexByte(s[from:], '@')
		if at < 0 {
			break
		}
		at += from
		begin := at
		for begin > from && (asciiWord(s[begin-1]) || strings.IndexByte("._%+-", s[begin-1]) >= 0) {
			begin--
		}
		end := at + 1
		for end < len(s) && (asciiAlnum(s[end]) || s[end] == '.' || s[end] == '-') {
			end++
		}
		if domain := domainEnd(s[at+1 : end]); begin < at && domain > 0 {
			out = append(out, s[begin:at+1+domain])
			from = at + 1 + domain
			continue
		}
		from = at + 1
	}
	d.mails = &out
	return out
}

// domainEnd is the length of the longest beginning that ends in a point and at
// least two letters, 0 for none.
func domainEnd(s string) int {
	for dot := strings.LastIndexByte(s, '.'); dot > 0; dot = strings.LastIndexByte(s[:dot], '.') {
		end := dot + 1
		for end < len(s) && asciiLetter(s[end]) {
			end++
		}
		if end-dot > 2 {
			return end
		}
	}
	return 0
}

func asciiLetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }

func asciiAlnum(b byte) bool { return asciiLetter(b) || b >= '0' && b <= '9' }

func asciiWord(b byte) bool { return asciiAlnum(b) || b == '_' }
