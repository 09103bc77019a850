package api

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"google.golang.org/grpc"

	"aloft/controller/blobs"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// PutBlobs takes files: the client says what it has, the server what it lacks, then the bytes follow.
func (s *Server) PutBlobs(st grpc.BidiStreamingServer[controlv1.PutBlobsRequest, controlv1.PutBlobsResponse]) error {
	var need map[string]bool
	var stored []*controlv1.BlobRef
	var w *blobs.Writer
	var writing string
	// Files of one list become durable together: one flush, however many they are.
	batch := s.o.Blobs.Batch()
	defer func() {
		if w != nil {
			w.Abort()
		}
		batch.Abort()
	}()
	for {
		req, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch p := req.GetPart().(type) {
		case *controlv1.PutBlobsRequest_Have:
			if len(need) > 0 {
				return usage("%d blobs of the last list are still missing", len(need))
			}
			need, stored = map[string]bool{}, nil
			answer := &controlv1.BlobList{}
			for _, b := range p.Have.GetBlobs() {
				if !need[b.GetSha256()] && !s.o.Blobs.Has(b.GetSha256()) {
					need[b.GetSha256()] = true
					answer.Blobs = append(answer.Blobs, b)
				}
			}
			if err := st.Send(&controlv1.PutBlobsResponse{Part: &controlv1.PutBlobsResponse_Need{Need: answer}}); err != nil {
				return err
			}
		case *controlv1.PutBlobsRequest_Data:
			d := p.Data
			if w == nil {
				if !need[d.GetSha256()] {
					return usage("blob %s was not asked for", d.GetSha256())
				}
				if w, err = batch.Create(d.GetSha256()); err != nil {
					return s.blobError(err)
				}
				writing = d.GetSha256()
			}
			if writing != d.GetSha256() {
				return usage("blob %s began before %s ended", d.GetSha256(), writing)
			}
			if _, err := w.Write(d.GetData()); err != nil {
				return s.blobError(err)
			}
			if !d.GetLast() {
				continue
			}
			if err := w.Commit(); err != nil {
				w = nil
				return s.blobError(err)
			}
			stored = append(stored, &controlv1.BlobRef{Sha256: writing, Bytes: uint64(w.Size())})
			w = nil
			delete(need, writing)
			if len(need) == 0 {
				if err := batch.Commit(); err != nil {
					return s.blobError(err)
				}
				batch = s.o.Blobs.Batch()
				if err := st.Send(&controlv1.PutBlobsResponse{Part: &controlv1.PutBlobsResponse_Stored{Stored: &controlv1.BlobList{Blobs: stored}}}); err != nil {
					return err
				}
			}
		}
	}
}

func (s *Server) blobError(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return refuse(&statev1.Failure{Kind: statev1.FailureKind_INFRA, Code: "DISK_FULL", Message: fmt.Sprintf("the disk under %s is full: nothing was kept of the file", s.o.Home),
			Hint: "free space, or set ALOFT_HOME to another disk, and run the command again"})
	}
	return s.reply("store a file", err)
}

// GetBlob sends one blob.
func (s *Server) GetBlob(r *controlv1.GetBlobRequest, out grpc.ServerStreamingServer[controlv1.BlobData]) error {
	f, total, err := s.o.Blobs.Open(r.GetSha256(), int64(r.GetOffset()))
	if err != nil {
		return notFound("no such blob: %s", r.GetSha256())
	}
	defer f.Close()
	buf := make([]byte, 512<<10)
	first := true
	for {
		n, err := io.ReadFull(f, buf)
		if n > 0 || first {
			d := &controlv1.BlobData{Data: buf[:n]}
			if first {
				d.Total, first = uint64(total), false
			}
			if err := out.Send(d); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return s.reply("read a blob", err)
		}
	}
}
