//go:build !linux

package ec2lab

import "os/exec"

func endWithUs(*exec.Cmd) {}
