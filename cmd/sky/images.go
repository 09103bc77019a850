package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/pflag"

	"aloft/controller/forge"
	"aloft/controller/forge/comment"
	"aloft/controller/forge/picture"
)

// assetBranch is where pictures are kept on GitHub, if that is wanted.
const assetBranch = "sky-assets"

// imageOptions are the flags about a report's pictures.
type imageOptions struct {
	bucket, links, artifact string
	branch                  bool
}

func (o *imageOptions) flags(fl *pflag.FlagSet) {
	fl.StringVar(&o.bucket, "image-bucket", "", "keep pictures in the bucket `URL`, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX, where the forge takes none")
	fl.StringVar(&o.links, "image-links", "presigned", "`HOW` pictures of a bucket are linked: presigned, for a week at most, or public, if its policy lets anybody read")
	fl.BoolVar(&o.branch, "image-branch", false, "keep pictures on GitHub on the branch "+assetBranch+" (permissions: contents: write)")
	fl.StringVar(&o.artifact, "image-artifact", "", "`NAME` of the artifact that holds the pictures, to be told where they are not shown")
}

func (o *imageOptions) check() error {
	return oneOf("--image-links", o.links, "presigned", "public")
}

// images are the pictures of a report that are files: marks stand in the text where they were, which no stranger can guess
// and which no neutralising changes, until it is settled what is shown there.
type images struct {
	dir  string
	mark string
	list []image
}

type image struct{ alt, path string }

// takeImages puts marks in the place of pictures that are files.
func takeImages(text, dir string) (string, *images) {
	if dir == "" { // whoever calls has dealt with them
		return text, &images{}
	}
	m := &images{dir: dir, mark: "skypicture" + strings.ToLower(rand.Text())}
	text = comment.Images(text, func(alt, path string) string {
		m.list = append(m.list, image{alt, path})
		return fmt.Sprintf("%sn%dn", m.mark, len(m.list)-1)
	})
	return text, m
}

var unplain = regexp.MustCompile(`[^\pL\pN .,+=/()_-]+`)

// plainAlt is the alternative text of a picture, without what would be markup.
func (i image) plainAlt() string {
	alt := strings.NewReplacer("(", "", ")", "", "_", " ").Replace(unplain.ReplaceAllString(i.alt, " "))
	if alt = strings.Join(strings.Fields(alt), " "); alt != "" {
		return strings.TrimSpace(string([]rune(alt)[:min(len([]rune(alt)), 100)]))
	}
	return i.name()
}

// name is the file's, fit to be shown.
func (i image) name() string {
	return strings.Trim(unplain.ReplaceAllString(filepath.Base(i.path), " "), " ")
}

// settle puts in the place of each mark what show says.
func (m *images) settle(text string, show func(i image) string) string {
	for n, i := range m.list {
		text = strings.ReplaceAll(text, fmt.Sprintf("%sn%dn", m.mark, n), show(i))
	}
	return text
}

// placeholder is what is shown of a picture that is kept nowhere.
func (o *imageOptions) placeholder(i image) string {
	where := "among the files of the run"
	if a := strings.Join(strings.Fields(unplain.ReplaceAllString(o.artifact, " ")), " "); a != "" {
		where = "in the artifact " + a + " of the run"
	}
	return "🖼 (the picture " + i.name() + " is " + where + ")"
}

// errKeepNone is why pictures are not shown by default on GitHub, or on a commit of Gitea's.
var errKeepNone = errors.New("the forge takes no pictures, and neither --image-bucket nor --image-branch is given")

// showImages keeps the pictures of a text and shows them: with the forge where it takes files, else in the bucket, else on
// the branch; what is kept nowhere is named, so is what is missing. Nothing goes to anybody else.
func (a *app) showImages(ctx context.Context, c forge.Client, p *comment.Post, m *images, o *imageOptions, dry bool) error {
	if len(m.list) == 0 {
		return nil
	}
	k := keeper{o: o, c: c, target: p.Target, lookup: a.getenv, before: map[string]string{}}
	if _, ok := c.(forge.Uploader); ok && !dry {
		// What an earlier run has uploaded is not uploaded again.
		mine, err := comment.Mine(ctx, c, *p)
		if err != nil {
			return err
		}
		k.before = kept(mine)
	}
	told := map[string]bool{}
	once := func(format string, args ...any) {
		if s := fmt.Sprintf(format, args...); !told[s] {
			told[s] = true
			a.note("warning: %s", s)
		}
	}
	p.Text = m.settle(p.Text, func(i image) string {
		pic, err := picture.Read(m.dir, i.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			once("there is no picture %s", i.path)
			return "⚠️ (the picture " + i.name() + " is missing)"
		case err != nil:
			once("the picture %s is left out: %v", i.path, err)
			return "⚠️ (the picture " + i.name() + " was left out)"
		case dry:
			return o.placeholder(i)
		}
		address, err := k.keep(ctx, pic)
		if err != nil {
			once("%s is not shown: %v", i.path, err)
			return o.placeholder(i)
		}
		return fmt.Sprintf("![%s](<%s> \"%s%s\")", i.plainAlt(), strings.NewReplacer("<", "%3C", ">", "%3E", "\n", "").Replace(address), keptTitle, pic.Hash[:16])
	})
	return nil
}

const keptTitle = "sky "

// keptImage is a picture as showImages writes it; forges give the text back as it was.
var keptImage = regexp.MustCompile(`\]\(<([^<>\s]+)> "` + keptTitle + `([0-9a-f]{16})"\)`)

// kept finds what comments of ours show, by content.
func kept(mine []forge.Comment) map[string]string {
	out := map[string]string{}
	for _, c := range mine {
		for _, f := range keptImage.FindAllStringSubmatch(c.Body, -1) {
			out[f[2]] = f[1]
		}
	}
	return out
}

// keeper keeps pictures in the first place that takes them.
type keeper struct {
	o      *imageOptions
	c      forge.Client
	target forge.Target
	lookup func(string) (string, bool)
	before map[string]string // addresses of what was uploaded before
	bucket picture.Keeper
}

func (k *keeper) keep(ctx context.Context, p picture.Picture) (string, error) {
	var failed []error
	if up, ok := k.c.(forge.Uploader); ok {
		if address := k.before[p.Hash[:16]]; address != "" {
			return address, nil
		}
		address, err := up.Upload(ctx, k.target, p.Name(), p.Data)
		if err == nil {
			k.before[p.Hash[:16]] = address
			return address, nil
		}
		failed = append(failed, err)
	}
	if k.o.bucket != "" {
		var err error
		if k.bucket == nil {
			k.bucket, err = picture.Open(ctx, k.o.bucket, picture.Options{Public: k.o.links == "public", Lookup: k.lookup})
		}
		var address string
		if err == nil {
			address, err = k.bucket.Keep(ctx, p)
		}
		if err == nil {
			return address, nil
		}
		failed = append(failed, err)
	}
	if branch, ok := k.c.(forge.BranchKeeper); ok && k.o.branch {
		address, err := branch.KeepFile(ctx, assetBranch, p.Name(), p.Data)
		if err == nil {
			return address, nil
		}
		failed = append(failed, err)
	}
	if len(failed) == 0 {
		return "", errKeepNone
	}
	return "", errors.Join(failed...)
}
