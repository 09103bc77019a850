package tasks

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

var (
	reDuration = newPattern(`^(?:\d+(?:\.\d+)?[smhdwSMHDW])+$`)
	rePart     = newPattern(`(\d+(?:\.\d+)?)([smhdw])`)
	reAutostop = newPattern(`^([0-9]+)([mhdwMHDW]?)$`)
	reMinutes  = newPattern(`^([0-9]+(?:\.[0-9]+)?)([mhdwMHDW]?)$`)
)

var unitLength = map[string]time.Duration{
	"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// maxDuration is the longest duration accepted: 100 years.
const maxDuration = 100 * 365 * 24 * time.Hour

// ParseDuration reads 90s, 30m, 1.5h, 2d, 1w and sums such as 1h30m. A bare
// number counts minutes. The result is positive.
func ParseDuration(s string) (time.Duration, error) {
	low := strings.ToLower(strings.TrimSpace(s))
	if _, err := strconv.ParseFloat(low, 64); err == nil {
		low += "m"
	}
	if !reDuration.MatchString(low) {
		return 0, fmt.Errorf("%s is not a duration such as 30m, 2h or 1d", quote(s))
	}
	total := 0.0
	for _, m := range rePart.FindAllStringSubmatch(low, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, fmt.Errorf("read %s as a duration: %w", quote(s), err)
		}
		total += n * float64(unitLength[m[2]])
	}
	// Whole milliseconds keep the text of a duration and its value in step.
	ms := math.Round(total / float64(time.Millisecond))
	if ms > float64(maxDuration/time.Millisecond) {
		return 0, fmt.Errorf("%s is too long a duration", quote(s))
	}
	if ms <= 0 {
		return 0, fmt.Errorf("the duration %s is not greater than 0", quote(s))
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// ParseMinutes reads minutes the way SkyPilot does: 30, 30m, 0.5h, 1d, 1w;
// fractions round up.
func ParseMinutes(s string) (int, error) {
	m := reMinutes.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%s is not a time such as 30, 30m, 0.5h or 1d", quote(s))
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, fmt.Errorf("read %s as a time: %w", quote(s), err)
	}
	unit := strings.ToLower(m[2])
	if unit == "" {
		unit = "m"
	}
	// The product of decimal fractions may miss a whole number by a hair.
	minutes := math.Ceil(n*unitLength[unit].Minutes() - 1e-9)
	if minutes > math.MaxInt32 {
		return 0, fmt.Errorf("%s is too long", quote(s))
	}
	return int(minutes), nil
}

// defaultIdleMinutes is what `autostop: true` means.
const defaultIdleMinutes = 5

// ParseAutostop reads the one-word forms of autostop: true, false, minutes, or
// a duration such as 2h.
func ParseAutostop(s string) (Autostop, error) {
	switch strings.ToLower(s) {
	case "true":
		return Autostop{Enabled: true, IdleMinutes: defaultIdleMinutes}, nil
	case "false":
		return Autostop{}, nil
	}
	minutes, err := autostopMinutes(s)
	if err != nil {
		return Autostop{}, err
	}
	return Autostop{Enabled: true, IdleMinutes: minutes}, nil
}

var errAutostop = errors.New("autostop takes whole minutes, or a number with m, h, d or w")

func autostopMinutes(s string) (int, error) {
	m := reAutostop.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%s: %w", quote(s), errAutostop)
	}
	n, err := ParseMinutes(s)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", quote(s), errAutostop)
	}
	return n, nil
}
