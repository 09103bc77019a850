package mounts

import (
	"context"
	"errors"

	statev1 "aloft/proto/sky/state/v1"
)

func (c *cache) contents(ctx context.Context, t *statev1.FileTree) ([]string, error) {
	return nil, errors.New("not built yet")
}

func (c *cache) materialise(ctx context.Context, t *statev1.FileTree, dest string) error {
	return errors.New("not built yet")
}
