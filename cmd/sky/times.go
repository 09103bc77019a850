package main

import (
	"fmt"
	"time"
)

// ago says how long before now an instant was, as SkyPilot's tables do.
func ago(ms int64, now time.Time) string {
	if ms == 0 {
		return "-"
	}
	d := now.Sub(time.UnixMilli(ms))
	switch {
	case d < time.Second:
		return "just now"
	case d < 60*time.Second:
		return plural(int(d.Seconds()), "sec") + " ago"
	case d < time.Hour:
		return plural(int(d.Minutes()), "min") + " ago"
	case d < 24*time.Hour:
		return plural(int(d.Hours()), "hr") + " ago"
	}
	return plural(int(d.Hours()/24), "day") + " ago"
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// span is a duration in at most two units.
func span(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm %ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh %dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd %dh", int(d.Hours())/24, int(d.Hours())%24)
}

// between is the span of two instants in unix milliseconds; an open end means now.
func between(start, end int64, now time.Time) string {
	if start == 0 {
		return "-"
	}
	e := now
	if end != 0 {
		e = time.UnixMilli(end)
	}
	return span(e.Sub(time.UnixMilli(start)))
}
