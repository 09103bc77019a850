package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"aloft/agent/redact"
)

// pass sends text through a stream in pieces of the given size (0 = whole) and returns what came out.
func pass(values []string, text string, size int) string {
	var out bytes.Buffer
	s := redact.New(values).Stream(func(b []byte) { out.Write(b) })
	if size == 0 {
		size = max(1, len(text))
	}
	for i := 0; i < len(text); i += size {
		s.Write([]byte(text[i:min(i+size, len(text))]))
	}
	s.Flush(true)
	return out.String()
}

func TestReplaces(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		values []string
		in     string
		want   string
	}{
		{"nothing to hide", nil, "hello", "hello"},
		{"in the middle", []string{"hunter22"}, "a hunter22 b", "a *** b"},
		{"all there is", []string{"hunter22"}, "hunter22", "***"},
		{"twice, touching", []string{"hunter22"}, "hunter22hunter22", "******"},
		{"beginning at the end", []string{"hunter22"}, "a hunter2", "a hunter2"},
		{"false start", []string{"aaab"}, "aaaab", "a***"},
		{"too short a value", []string{"abc"}, "abcabc", "abcabc"},
		{"shortest value", []string{"abcd"}, "xabcdx", "x***x"},
		{"longest wins", []string{"abcd", "abcdefgh"}, "abcdefgh", "***"},
		{"shorter when the longer does not come", []string{"abcd", "abcdefgh"}, "abcdefg", "***efg"},
		{"shorter at the end of the stream", []string{"abcd", "abcdefgh"}, "x abcd", "x ***"},
		{"overlap becomes one", []string{"abcdef", "defghi"}, "xabcdefghix", "x***x"},
		{"one inside the other", []string{"abcdefgh", "cdef"}, "xabcdefghx", "x***x"},
		{"inner one alone", []string{"abcdefgh", "cdef"}, "xabcdefx", "xab***x"},
		{"many lines", []string{"line one\nline two"}, "line one\nline two\n", "***\n"},
		{"final newline of a file", []string{"s3cr3t-token\n"}, "token=s3cr3t-token;", "token=***;"},
		{"binary", []string{"\x00\xff\x01\xfe"}, "a\x00\xff\x01\xfeb", "a***b"},
		{"url query", []string{"p&ss w/rd!"}, "x=" + url.QueryEscape("p&ss w/rd!") + "&y", "x=***&y"},
		{"url lower case", []string{"p&ss w/rd!"}, strings.ReplaceAll(url.PathEscape("p&ss w/rd!"), "%2F", "%2f"), "***"},
		{"json", []string{"pa\"ss\nword"}, `{"p":"pa\"ss\nword"}`, `{"p":"***"}`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for size := range len(tc.in) + 1 {
				if got := pass(tc.values, tc.in, size); got != tc.want {
					t.Errorf("pieces of %d: got %q, want %q", size, got, tc.want)
				}
			}
		})
	}
}

func TestEncodedForms(t *testing.T) {
	t.Parallel()
	const value = "correct-horse?battery>staple"
	for shift := range 3 {
		for tail := range 3 {
			for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding} {
				plain := strings.Repeat("u", shift) + value + strings.Repeat("v", tail)
				text := "Authorization: Basic " + enc.EncodeToString([]byte(plain)) + "\n"
				got := pass([]string{value}, text, 0)
				if !strings.Contains(got, redact.Mask) {
					t.Errorf("shift %d, tail %d: %q came through", shift, tail, got)
				}
				// Nobody can read more than the neighbours' bits back.
				if left := len(got) - len("Authorization: Basic ***\n"); left > 10 {
					t.Errorf("shift %d, tail %d: %d characters left in %q", shift, tail, left, got)
				}
			}
		}
	}
	j, err := json.Marshal(map[string]string{"k": value})
	if err != nil {
		t.Fatal(err)
	}
	if got := pass([]string{value}, string(j), 0); got != `{"k":"***"}` {
		t.Errorf("JSON: %s", got)
	}
}

func TestFlush(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := redact.New([]string{"Password123456", "Pass"}).Stream(func(b []byte) { out.Write(b) })
	check := func(step, want string, held int) {
		t.Helper()
		if out.String() != want || s.Held() != held {
			t.Fatalf("%s: %q and %d held, want %q and %d", step, out.String(), s.Held(), want, held)
		}
	}
	s.Write([]byte("prompt P"))
	check("a beginning is held", "prompt ", 1)
	s.Flush(false)
	check("and let go when idle", "prompt P", 0)
	s.Write([]byte("assword123456!"))
	check("the rest is hidden still", "prompt P***!", 0)
	s.Write([]byte("Passw"))
	s.Flush(false)
	check("a whole value is never let go", "prompt P***!", 5)
	s.Flush(true)
	check("but masked in the end", "prompt P***!***w", 0)
	s.Write([]byte(" Password12345"))
	s.Flush(false)
	check("a long beginning is no chance", "prompt P***!***w ", 13)
}

// FuzzChunks: how the bytes are cut never changes the result, and no value survives.
func FuzzChunks(f *testing.F) {
	f.Add("secret-value", "other", "xx secret-value yy other", []byte{1, 2, 3})
	f.Add("aaaa", "aaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaa", []byte{3})
	f.Add("abcdef", "defghi", "abcdefghi abcdeabcdef", []byte{2, 7})
	f.Add("p&ss w/rd!", "cdef", "p%26ss+w%2Frd%21 cGFzcw==", []byte{0})
	f.Fuzz(func(t *testing.T, a, b, text string, cuts []byte) {
		values := []string{a, b}
		whole := pass(values, text, 0)
		if one := pass(values, text, 1); one != whole {
			t.Fatalf("byte by byte %q, whole %q", one, whole)
		}
		var out bytes.Buffer
		s := redact.New(values).Stream(func(p []byte) { out.Write(p) })
		rest := text
		for i := 0; len(rest) > 0; i++ {
			n := len(rest)
			if len(cuts) > 0 {
				n = min(n, int(cuts[i%len(cuts)])+1)
			}
			s.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		s.Flush(true)
		if out.String() != whole {
			t.Fatalf("cut %q, whole %q", out.String(), whole)
		}
		for _, v := range values {
			// A mask can join its neighbours into a value only when the value holds an asterisk.
			if len(v) >= redact.MinValue && !strings.Contains(v, "*") && strings.Contains(whole, v) {
				t.Fatalf("%q survived in %q", v, whole)
			}
		}
	})
}

func BenchmarkStream(b *testing.B) {
	line := []byte(strings.Repeat("epoch 12 step 3401 loss 0.4431 lr 3e-4 tokens/s 51234\n", 5000))
	for _, n := range []int{1, 20} {
		var values []string
		for i := range n {
			values = append(values, fmt.Sprintf("sk-%d-abcdefghijklmnopqrstuvwxyz0123456789", i))
		}
		set := redact.New(values)
		b.Run(fmt.Sprintf("values=%d", n), func(b *testing.B) {
			s := set.Stream(func([]byte) {})
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				s.Write(line)
			}
		})
	}
}
