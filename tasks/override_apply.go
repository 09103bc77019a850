package tasks

import (
	"math/big"
	"strconv"
	"strings"
)

// resetWord resets a string override to "not given".
const resetWord = "none"

func (o Overrides) hasResources() bool {
	for _, p := range []*string{o.Infra, o.GPUs, o.CPUs, o.Memory, o.InstanceType, o.DiskSize, o.DiskTier, o.NetworkTier, o.ImageID} {
		if p != nil {
			return true
		}
	}
	return o.UseSpot != nil || len(o.Ports) > 0
}

// flagValue types a flag the way the same text would be typed in a file, so
// that --cpus 4 and --disk-size 100 are numbers.
func flagValue(flag, s string) *value {
	v, err := typePlain(s)
	if err != nil || v.kind&kindNumber == 0 || v.surprising() {
		v = value{kind: kindText, text: s}
	}
	v.pos = position{file: flag}
	v.literal = true
	return &v
}

func flagText(flag, s string) *value {
	return &value{kind: kindText, text: s, pos: position{file: flag}, literal: true}
}

// applyResourceOverrides writes the resource flags into the tree, so that they
// go through the same checks as a file. A flag holds for every alternative.
func (c *checker) applyResourceOverrides(v *value, o Overrides) {
	if !o.hasResources() {
		return
	}
	res := v.get("resources")
	if res.isNull() {
		res = &value{kind: kindMap, pos: position{file: "command line"}}
		v.set("resources", res)
	}
	if res.kind != kindMap {
		return // reported when the section is read
	}
	// A section shared through an alias must not change elsewhere.
	res = cloneMap(res)
	v.set("resources", res)
	places := []*value{res}
	for _, key := range []string{"any_of", "ordered"} {
		if list := res.get(key); list != nil && list.kind == kindList {
			own := &value{kind: kindList, pos: list.pos}
			for _, it := range list.items {
				if it.kind == kindMap {
					it = cloneMap(it)
					places = append(places, it)
				}
				own.items = append(own.items, it)
			}
			res.set(key, own)
		}
	}
	set := func(flag string, val *value, isReset bool, key string, also ...string) {
		for _, p := range places {
			p.remove(append(also, key)...)
		}
		if !isReset {
			res.set(key, val)
		}
	}
	text := func(flag string, s *string, key string, also ...string) {
		if s != nil {
			set(flag, flagText(flag, *s), strings.EqualFold(*s, resetWord), key, also...)
		}
	}
	number := func(flag string, s *string, key string) {
		if s != nil {
			set(flag, flagValue(flag, *s), strings.EqualFold(*s, resetWord), key)
		}
	}
	text("--infra", o.Infra, "infra", "cloud", "region", "zone")
	text("--gpus", o.GPUs, "accelerators", "gpus")
	number("--cpus", o.CPUs, "cpus")
	number("--memory", o.Memory, "memory")
	text("--instance-type", o.InstanceType, "instance_type")
	number("--disk-size", o.DiskSize, "disk_size")
	text("--disk-tier", o.DiskTier, "disk_tier")
	text("--network-tier", o.NetworkTier, "network_tier")
	text("--image-id", o.ImageID, "image_id")
	if o.UseSpot != nil {
		b := &value{kind: kindBool, b: *o.UseSpot, text: strconv.FormatBool(*o.UseSpot), pos: position{file: "--use-spot"}}
		set("--use-spot", b, false, "use_spot")
	}
	if len(o.Ports) > 0 {
		list := &value{kind: kindList, pos: position{file: "--ports"}}
		reset := false
		for _, p := range o.Ports {
			reset = reset || strings.EqualFold(p, resetWord)
			list.items = append(list.items, flagText("--ports", p))
		}
		set("--ports", list, reset, "ports")
	}
}

func cloneMap(v *value) *value {
	out := *v
	out.entries = nil
	for _, e := range v.entries {
		out.entries = append(out.entries, &entry{key: e.key, val: e.val})
	}
	return &out
}

// applyNameOverrides writes the flags that are not resources.
func (c *checker) applyNameOverrides(v *value, o Overrides, single bool) {
	if o.Name != nil && single {
		if strings.EqualFold(*o.Name, resetWord) {
			v.remove("name")
		} else {
			v.set("name", flagText("--name", *o.Name))
		}
	}
	if o.NumNodes != nil {
		v.set("num_nodes", &value{kind: kindInt, i: big.NewInt(int64(*o.NumNodes)),
			text: strconv.Itoa(*o.NumNodes), pos: position{file: "--num-nodes"}})
	}
	if o.Workdir != nil && (o.GitURL != nil || o.GitRef != nil) {
		c.fail(position{file: "--workdir"}, "workdir", "--workdir cannot be used together with --git-url or --git-ref", "", "give one of the two")
		return
	}
	if o.Workdir != nil {
		if strings.EqualFold(*o.Workdir, resetWord) {
			v.remove("workdir")
		} else {
			v.set("workdir", flagText("--workdir", *o.Workdir))
		}
	}
	if o.GitURL != nil || o.GitRef != nil {
		git := &value{kind: kindMap, pos: position{file: "--git-url"}, literal: true}
		if old := v.get("workdir"); old != nil && old.kind == kindMap {
			git = cloneMap(old)
		}
		if o.GitURL != nil {
			git.set("url", flagText("--git-url", *o.GitURL))
		}
		if o.GitRef != nil {
			git.set("ref", flagText("--git-ref", *o.GitRef))
		}
		v.set("workdir", git)
	}
}
