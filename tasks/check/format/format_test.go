package format_test

import (
	"math"
	"testing"

	"aloft/tasks/check/format"
)

func TestPercent(t *testing.T) {
	t.Parallel()
	for ratio, want := range map[float64]string{
		0.12345: "12.35%", 0.999999: "99.99%", 1e-05: "0.001%", 1e-07: "1.00E-5%", 1.234e-05: "0.0012%",
		5e-05: "0.005%", 12.34567: "1234.57%", -0.25: "-25%", 0: "0%", 0.05: "5%", 1: "100%", 2: "200%",
		0.0858: "8.58%", 1.5: "150%",
	} {
		if got := format.Percent(ratio); got != want {
			t.Errorf("Percent(%v) = %q, want %q", ratio, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{
		0: "0", 0.001: "1.00E-3", -0.004: "-4.00E-3", 0.996: "1", 1.999999: "2", 1234567.891: "1,234,567.89",
		-25977.7701: "-25,977.77", 0.7: "0.7", 123: "123", -1234: "-1,234",
	} {
		if got := format.Number(x); got != want {
			t.Errorf("Number(%v) = %q, want %q", x, got, want)
		}
	}
	if got := format.Number(math.NaN()); got != "nan" {
		t.Errorf("Number(NaN) = %q", got)
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{
		1: "1.0", 0.1: "0.1", 1e16: "1e+16", 123456789: "123456789.0", 0.0001: "0.0001", 0.00001: "1e-05", -2.5: "-2.5",
	} {
		if got := format.Plain(x); got != want {
			t.Errorf("Plain(%v) = %q, want %q", x, got, want)
		}
	}
}

func TestQuoteAndContainers(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a": "'a'", "it's": `"it's"`, `both ' and "`: `'both \' and "'`, "a\nb": `'a\nb'`, "\x00": `'\x00'`, `\`: `'\\'`, "é": "'é'",
	} {
		if got := format.Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
	if got := format.QuotedList([]string{"a", "b"}); got != "['a', 'b']" {
		t.Errorf("QuotedList = %s", got)
	}
	if got := format.Dict([]format.Pair{{Key: "1", Value: "'0.65'"}}); got != "{1: '0.65'}" {
		t.Errorf("Dict = %s", got)
	}
	if got := format.Shorten([]string{"aaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbb"}); got != "aaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbb..." {
		t.Errorf("Shorten = %s", got)
	}
}

func TestPassed(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "No relevant columns to check were found", 1: "Passed for 1 relevant column", 3: "Passed for 3 relevant columns"} {
		if got := format.Passed(n); got != want {
			t.Errorf("Passed(%d) = %q", n, got)
		}
	}
}
