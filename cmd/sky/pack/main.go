// Command pack compresses an agent for embedding in sky and writes the digest of its plain form beside it.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/klauspost/compress/zstd"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: pack BINARY OUTPUT-WITHOUT-SUFFIX")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(in, out string) error {
	plain, err := os.ReadFile(in)
	if err != nil {
		return fmt.Errorf("read the agent: %w", err)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return fmt.Errorf("make an encoder: %w", err)
	}
	sum := sha256.Sum256(plain)
	if err := os.WriteFile(out+".sha256", []byte(hex.EncodeToString(sum[:])+"\n"), 0o644); err != nil {
		return fmt.Errorf("write the digest: %w", err)
	}
	if err := os.WriteFile(out+".zst", enc.EncodeAll(plain, nil), 0o644); err != nil {
		return fmt.Errorf("write the compressed agent: %w", err)
	}
	return nil
}
