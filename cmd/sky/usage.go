package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// usage is cobra's, with commands in the order they were added and flags wrapped to the terminal. It is written out instead
// of set as a template: templates call methods by name, which makes the linker keep every method of every type, and with
// the clouds' SDKs that is half of the program.
func (a *app) usage(c *cobra.Command) error {
	var b strings.Builder
	width := min(max(a.width, 60), 120)
	b.WriteString("Usage:")
	switch {
	case c.HasAvailableSubCommands():
		fmt.Fprintf(&b, "\n  %s [command]", c.CommandPath())
	case c.Runnable():
		fmt.Fprintf(&b, "\n  %s", c.UseLine())
	}
	if len(c.Aliases) > 0 {
		fmt.Fprintf(&b, "\n\nAliases:\n  %s", c.NameAndAliases())
	}
	if c.HasExample() {
		fmt.Fprintf(&b, "\n\nExamples:\n%s", c.Example)
	}
	usageCommands(&b, c)
	if c.HasAvailableLocalFlags() {
		fmt.Fprintf(&b, "\n\nFlags:\n%s", strings.TrimRight(c.LocalFlags().FlagUsagesWrapped(width), " \n"))
	}
	if c.HasAvailableInheritedFlags() {
		fmt.Fprintf(&b, "\n\nGlobal Flags:\n%s", strings.TrimRight(c.InheritedFlags().FlagUsagesWrapped(width), " \n"))
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n\n`%s COMMAND --help` tells more about a command.", c.CommandPath())
	}
	_, err := fmt.Fprintln(c.OutOrStderr(), b.String())
	return err
}

// usageCommands lists the commands below c by their groups.
func usageCommands(b *strings.Builder, c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		return
	}
	list := func(title, group string) {
		fmt.Fprintf(b, "\n\n%s", title)
		for _, sub := range c.Commands() {
			if (group == "*" || sub.GroupID == group) && (sub.IsAvailableCommand() || sub.Name() == "help") {
				fmt.Fprintf(b, "\n  %-*s %s", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	if len(c.Groups()) == 0 {
		list("Available Commands:", "*")
		return
	}
	for _, g := range c.Groups() {
		list(g.Title, g.ID)
	}
	if !c.AllChildCommandsHaveGroup() {
		list("Additional Commands:", "")
	}
}
