package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"aloft/controller/blobs"
	"aloft/controller/store"
	agentv1 "aloft/proto/sky/agent/v1"
)

const blobChunk = 256 << 10

// FetchBlob implements agentv1.GatewayServer.
func (s *session) FetchBlob(r *agentv1.FetchBlobRequest, stream agentv1.Gateway_FetchBlobServer) error {
	if err := s.open(); err != nil {
		return err
	}
	src, total, err := s.blob(r.GetSha256(), int64(r.GetOffset()))
	switch {
	case errors.Is(err, blobs.ErrNotFound):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, blobs.ErrDigest):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, blobs.ErrOffset):
		return status.Error(codes.OutOfRange, err.Error())
	case err != nil:
		return status.Error(codes.Unavailable, err.Error())
	}
	defer func() { _ = src.Close() }()
	chunk := &agentv1.BlobChunk{Total: uint64(total)}
	for buf := make([]byte, blobChunk); ; {
		n, err := io.ReadFull(src, buf)
		if n > 0 || chunk.GetTotal() > 0 {
			chunk.Data = buf[:n]
			if err := stream.Send(chunk); err != nil {
				return err
			}
			chunk = new(agentv1.BlobChunk)
			buf = make([]byte, blobChunk) // the last one may still be on its way
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
	}
}

// blob opens a blob; the agent's own binary is one, too.
func (s *session) blob(digest string, offset int64) (io.ReadCloser, int64, error) {
	if s.f.o.Agent != nil {
		facts := s.hello.GetFacts()
		if b, err := s.f.o.Agent(facts.GetOs(), facts.GetArch()); err == nil && b.SHA256 == digest {
			return openFile(b.Path, offset)
		}
	}
	return s.f.o.Blobs.Open(digest, offset)
}

func openFile(path string, offset int64) (io.ReadCloser, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("open the agent's binary: %w", err)
	}
	info, err := f.Stat()
	if err == nil && offset > info.Size() {
		err = blobs.ErrOffset
	}
	if err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("open the agent's binary: %w", err), f.Close())
	}
	return f, info.Size(), nil
}

// PutResult implements agentv1.GatewayServer.
func (s *session) PutResult(stream agentv1.Gateway_PutResultServer) error {
	if err := s.open(); err != nil {
		return err
	}
	part, err := stream.Recv()
	if err != nil {
		return err
	}
	jobID, digest := part.GetJobId(), part.GetFile().GetSha256()
	if err := s.mayPut(stream.Context(), jobID); err != nil {
		return err
	}
	if !s.f.o.Blobs.Has(digest) {
		if err := s.keep(stream, digest, part); err != nil {
			return err
		}
	}
	s.f.finisher.arrived(jobID)
	return stream.SendAndClose(&agentv1.ResultAck{Sha256: digest})
}

// keep stores what the stream carries, verified and durable.
func (s *session) keep(stream agentv1.Gateway_PutResultServer, digest string, part *agentv1.ResultPart) error {
	w, err := s.f.o.Blobs.Create(digest)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	defer w.Abort()
	for {
		if _, err := w.Write(part.GetData()); err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
		part, err = stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := w.Commit(); err != nil {
		return status.Error(codes.DataLoss, err.Error())
	}
	return nil
}

// mayPut refuses results of jobs that the node has no part in.
func (s *session) mayPut(ctx context.Context, jobID string) error {
	found := false
	err := s.f.o.Store.View(ctx, func(tx store.Tx) error {
		j, err := store.GetJob(tx, jobID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		for _, r := range j.GetRanks() {
			found = found || r.GetNodeId() == s.nd.id
		}
		return err
	})
	if err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	if !found {
		return status.Error(codes.NotFound, "no such job on this node")
	}
	return nil
}
