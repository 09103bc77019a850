package link

import (
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// FirstField names the first field in bytes that a message could not place: its number, which is all one can know.
func FirstField(unknown []byte) string {
	num, _, n := protowire.ConsumeField(unknown)
	if n < 0 {
		return ""
	}
	return strconv.Itoa(int(num))
}
