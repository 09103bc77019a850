// Package compat compares the protocols of this build with those of a released one: what was said once may not change
// its meaning. Numbers are never reused, types never changed, and what is deleted is reserved.
package compat

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Descriptors is the descriptor set of files and everything they import.
func Descriptors(files ...protoreflect.FileDescriptor) *descriptorpb.FileDescriptorSet {
	set := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	for _, f := range files {
		add(f)
	}
	return set
}

// Breaks lists every way in which now breaks what old promised.
func Breaks(old, now *descriptorpb.FileDescriptorSet) []string {
	var out []string
	bad := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	files := map[string]*descriptorpb.FileDescriptorProto{}
	for _, f := range now.GetFile() {
		files[f.GetName()] = f
	}
	for _, of := range old.GetFile() {
		nf := files[of.GetName()]
		if nf == nil {
			bad("%s is gone", of.GetName())
			continue
		}
		messages := map[string]*descriptorpb.DescriptorProto{}
		for _, m := range nf.GetMessageType() {
			messages[m.GetName()] = m
		}
		for _, m := range of.GetMessageType() {
			if nm := messages[m.GetName()]; nm != nil {
				message(bad, m.GetName(), m, nm)
			} else {
				bad("message %s is gone", m.GetName())
			}
		}
		enums := map[string]*descriptorpb.EnumDescriptorProto{}
		for _, e := range nf.GetEnumType() {
			enums[e.GetName()] = e
		}
		for _, e := range of.GetEnumType() {
			if ne := enums[e.GetName()]; ne != nil {
				enum(bad, e, ne)
			} else {
				bad("enum %s is gone", e.GetName())
			}
		}
		services := map[string]*descriptorpb.ServiceDescriptorProto{}
		for _, s := range nf.GetService() {
			services[s.GetName()] = s
		}
		for _, s := range of.GetService() {
			if ns := services[s.GetName()]; ns != nil {
				service(bad, s, ns)
			} else {
				bad("service %s is gone", s.GetName())
			}
		}
	}
	return out
}

func message(bad func(string, ...any), path string, old, now *descriptorpb.DescriptorProto) {
	byNumber := map[int32]*descriptorpb.FieldDescriptorProto{}
	for _, f := range now.GetField() {
		byNumber[f.GetNumber()] = f
	}
	for _, f := range old.GetField() {
		nf := byNumber[f.GetNumber()]
		switch {
		case nf == nil:
			if !reserved(now, f.GetNumber()) {
				bad("%s.%s (%d) is gone and its number is not reserved", path, f.GetName(), f.GetNumber())
			}
		case nf.GetType() != f.GetType() || nf.GetLabel() != f.GetLabel() || nf.GetTypeName() != f.GetTypeName():
			bad("%s.%s (%d) changed its type", path, f.GetName(), f.GetNumber())
		case nf.GetName() != f.GetName():
			bad("%s (%d) was called %s and is called %s: a number is never reused", path, f.GetNumber(), f.GetName(), nf.GetName())
		case (nf.OneofIndex == nil) != (f.OneofIndex == nil):
			bad("%s.%s (%d) moved into or out of a oneof", path, f.GetName(), f.GetNumber())
		}
	}
	nested := map[string]*descriptorpb.DescriptorProto{}
	for _, m := range now.GetNestedType() {
		nested[m.GetName()] = m
	}
	for _, m := range old.GetNestedType() {
		if nm := nested[m.GetName()]; nm != nil {
			message(bad, path+"."+m.GetName(), m, nm)
		}
	}
}

func reserved(m *descriptorpb.DescriptorProto, number int32) bool {
	for _, r := range m.GetReservedRange() {
		if number >= r.GetStart() && number < r.GetEnd() {
			return true
		}
	}
	return false
}

func enum(bad func(string, ...any), old, now *descriptorpb.EnumDescriptorProto) {
	byNumber := map[int32]string{}
	for _, v := range now.GetValue() {
		byNumber[v.GetNumber()] = v.GetName()
	}
	for _, v := range old.GetValue() {
		name, ok := byNumber[v.GetNumber()]
		if !ok {
			bad("%s.%s (%d) is gone: enums only grow", old.GetName(), v.GetName(), v.GetNumber())
		} else if name != v.GetName() {
			bad("%s %d was %s and is %s", old.GetName(), v.GetNumber(), v.GetName(), name)
		}
	}
}

func service(bad func(string, ...any), old, now *descriptorpb.ServiceDescriptorProto) {
	methods := map[string]*descriptorpb.MethodDescriptorProto{}
	for _, m := range now.GetMethod() {
		methods[m.GetName()] = m
	}
	for _, m := range old.GetMethod() {
		nm := methods[m.GetName()]
		if nm == nil {
			bad("rpc %s.%s is gone", old.GetName(), m.GetName())
		} else if nm.GetInputType() != m.GetInputType() || nm.GetOutputType() != m.GetOutputType() ||
			nm.GetClientStreaming() != m.GetClientStreaming() || nm.GetServerStreaming() != m.GetServerStreaming() {
			bad("rpc %s.%s changed its shape", old.GetName(), m.GetName())
		}
	}
}

// Encode writes a set for keeping; Decode reads it back.
func Encode(set *descriptorpb.FileDescriptorSet) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(set)
}

// Decode reads what Encode wrote.
func Decode(b []byte) (*descriptorpb.FileDescriptorSet, error) {
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(b, set); err != nil {
		return nil, fmt.Errorf("read a descriptor set: %w", err)
	}
	return set, nil
}
