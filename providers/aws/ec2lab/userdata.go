package ec2lab

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// bootScript is what a machine does with its user data at boot, as cloud-init would: a boothook runs at every boot, a plain
// script at the first only. Other forms are not executed.
func bootScript(data []byte) ([]byte, error) {
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("user data: %w", err)
		}
		if data, err = io.ReadAll(r); err != nil {
			return nil, fmt.Errorf("user data: %w", err)
		}
	}
	text := string(data)
	switch {
	case strings.TrimSpace(text) == "":
		return nil, nil
	case strings.HasPrefix(text, "#cloud-boothook\n"):
		if !strings.HasPrefix(strings.TrimPrefix(text, "#cloud-boothook\n"), "#!") {
			return nil, errors.New("user data: a boothook without a #! line")
		}
		return data, nil
	case strings.HasPrefix(text, "#!"):
		return []byte("#!/bin/sh\n[ ! -e /var/lib/cloud/user-data ] || exit 0\nmkdir -p /var/lib/cloud\nbase64 -d >/var/lib/cloud/user-data <<'END'\n" +
			base64.StdEncoding.EncodeToString(data) + "\nEND\nchmod 700 /var/lib/cloud/user-data\nexec /var/lib/cloud/user-data\n"), nil
	}
	first, _, _ := strings.Cut(text, "\n")
	return nil, fmt.Errorf("user data: the laboratory has no cloud-init for %q", first)
}
