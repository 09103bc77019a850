package compat_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"aloft/proto/compat"
	agentv1 "aloft/proto/sky/agent/v1"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

var release = flag.String("release", "", "keep the protocols of this build as those of a release, for example v0.1.0")

func current() *descriptorpb.FileDescriptorSet {
	return compat.Descriptors(statev1.File_sky_state_v1_state_proto, agentv1.File_sky_agent_v1_agent_proto, controlv1.File_sky_control_v1_control_proto)
}

// TestReleased compares this build with every released version kept in testdata.
func TestReleased(t *testing.T) {
	t.Parallel()
	if *release != "" {
		b, err := compat.Encode(current())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("testdata", *release+".binpb"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := filepath.Glob("testdata/*.binpb")
	if err != nil || len(kept) == 0 {
		t.Fatalf("no released descriptor sets in testdata (%v)", err)
	}
	for _, k := range kept {
		b, err := os.ReadFile(k)
		if err != nil {
			t.Fatal(err)
		}
		old, err := compat.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, br := range compat.Breaks(old, current()) {
			t.Errorf("%s: %s", filepath.Base(k), br)
		}
	}
}

// TestBreaks shows that breaking changes are seen.
func TestBreaks(t *testing.T) {
	t.Parallel()
	find := func(s *descriptorpb.FileDescriptorSet, name string) *descriptorpb.DescriptorProto {
		for _, f := range s.GetFile() {
			for _, m := range f.GetMessageType() {
				if m.GetName() == name {
					return m
				}
			}
		}
		t.Fatalf("no message %s", name)
		return nil
	}
	for _, tc := range []struct {
		name   string
		change func(s *descriptorpb.FileDescriptorSet)
		want   string // "" = allowed
	}{
		{"nothing", func(*descriptorpb.FileDescriptorSet) {}, ""},
		{"new field", func(s *descriptorpb.FileDescriptorSet) {
			m := find(s, "Cluster")
			m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{Name: proto.String("new"), Number: proto.Int32(9999),
				Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()})
		}, ""},
		{"deleted field", func(s *descriptorpb.FileDescriptorSet) { m := find(s, "Cluster"); m.Field = m.Field[1:] }, "not reserved"},
		{"changed type", func(s *descriptorpb.FileDescriptorSet) {
			find(s, "Cluster").Field[0].Type = descriptorpb.FieldDescriptorProto_TYPE_INT64.Enum()
		}, "changed its type"},
		{"reused number", func(s *descriptorpb.FileDescriptorSet) { find(s, "Cluster").Field[0].Name = proto.String("other") }, "never reused"},
		{"deleted message", func(s *descriptorpb.FileDescriptorSet) { s.File[0].MessageType = s.File[0].MessageType[1:] }, "is gone"},
		{"shrunk enum", func(s *descriptorpb.FileDescriptorSet) { e := s.File[0].EnumType[0]; e.Value = e.Value[1:] }, "enums only grow"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			now := proto.CloneOf(current())
			tc.change(now)
			got := strings.Join(compat.Breaks(current(), now), "\n")
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
