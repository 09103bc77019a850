package bridge

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
)

// ranks is this engine's place among those of a job with several nodes: each
// reads its part of the data, rank 0 joins the parts and judges, and all get
// the same answer.
type ranks struct {
	rank, n int
	address string // rank 0's
	key     ed25519.PrivateKey
	timeout time.Duration
}

// The environment that the agent gives each rank.
const (
	envRank    = "SKYPILOT_NODE_RANK"
	envNodes   = "SKYPILOT_NUM_NODES"
	envIPs     = "SKYPILOT_NODE_IPS"
	envPort    = "ALOFT_BRIDGE_PORT"
	envSecret  = "ALOFT_JOB_SECRET"
	envTimeout = "ALOFT_RANKS_TIMEOUT"
)

// defaultWait is how long ranks wait for each other.
const defaultWait = 10 * time.Minute

// ranksOf reads the place of this engine; nil where the job has one node, or
// where none of this is an agent's job. Want is how many ranks the request
// wants, 0 for all there are.
func ranksOf(getenv func(string) string, want int) (*ranks, error) {
	n, err := strconv.Atoi(getenv(envNodes))
	if err != nil || n < 2 || want == 1 || getenv(envSecret) == "" {
		return nil, nil
	}
	if want != 0 && want != n {
		return nil, engine.Errorf(engine.ValueError, "ranks is %d, the job has %d nodes: leave it out, or give 1 to judge this rank's data alone", want, n)
	}
	r := &ranks{n: n, timeout: defaultWait}
	if r.rank, err = strconv.Atoi(getenv(envRank)); err != nil || r.rank < 0 || r.rank >= n {
		return nil, fmt.Errorf("%s is %q in a job of %d nodes", envRank, getenv(envRank), n)
	}
	ips := strings.Fields(getenv(envIPs))
	if len(ips) == 0 {
		return nil, fmt.Errorf("%s is empty in a job of %d nodes", envIPs, n)
	}
	r.address = net.JoinHostPort(ips[0], getenv(envPort))
	secret, err := hex.DecodeString(getenv(envSecret))
	if err != nil || len(secret) < 16 {
		return nil, fmt.Errorf("%s is no secret of the agent's", envSecret)
	}
	seed, err := hkdf.Key(sha256.New, secret, nil, "aloft bridge between ranks", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive the ranks' key: %w", err)
	}
	r.key = ed25519.NewKeyFromSeed(seed)
	if text := getenv(envTimeout); text != "" {
		if r.timeout, err = time.ParseDuration(text); err != nil || r.timeout <= 0 {
			return nil, engine.Errorf(engine.ValueError, "%s must be a duration such as 90s, not %q", envTimeout, text)
		}
	}
	return r, nil
}

// tls is for both ends: whoever has the secret has the key, and no one else
// is listened to.
func (r *ranks) tls() (*tls.Config, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, r.key.Public(), r.key)
	if err != nil {
		return nil, fmt.Errorf("make the ranks' certificate: %w", err)
	}
	own := r.key.Public().(ed25519.PublicKey) //nolint:forcetypeassert // ed25519's documentation says so
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: r.key}},
		ClientAuth: tls.RequireAnyClientCert, InsecureSkipVerify: true, // the key is compared below, which is stricter
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("the other end shows no key")
			}
			key, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
			if !ok || subtle.ConstantTimeCompare(key, own) != 1 {
				return errors.New("the other end is no rank of this job")
			}
			return nil
		},
	}, nil
}

// hello says who connects.
type hello struct {
	Rank int    `json:"rank"`
	Run  int    `json:"run"` // which of the program's runs this is
	Name string `json:"name"`
}

// The frames between ranks, besides those of the bridge.
const (
	frameHello = 'H'
	framePart  = 'S' // one byte for the side, then a set or a table
	frameLater = 'L' // rank 0 is at another run
)

// part is what one rank has read.
type part struct {
	sets   map[engine.Which]*images.Set
	tables map[engine.Which]string // files
}

// sides numbers the sides on the wire.
func sides() []engine.Which { return []engine.Which{engine.Train, engine.Test} }

// answer is rank 0's answer: a frame of the bridge.
type answer struct {
	kind byte
	data []byte
}

// deliver sends this rank's part to rank 0 and returns its answer.
func (r *ranks) deliver(ctx context.Context, h hello, p *part) (answer, error) {
	conf, err := r.tls()
	if err != nil {
		return answer{}, err
	}
	end := time.Now().Add(r.timeout)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	dialer := &tls.Dialer{Config: conf}
	for {
		a, err := r.try(ctx, dialer, h, p)
		if err == nil && a.kind != frameLater {
			return a, nil
		}
		select { // rank 0 reads its own part still, or judges an earlier run
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			if err == nil {
				err = errors.New("it is at another run")
			}
			return answer{}, engine.Errorf(engine.ProcessError, "rank %d could not give its part to rank 0 within %s: %v. Does rank 0 call run() as well? run(ranks=1) judges a rank's data alone", r.rank, r.timeout, err)
		}
	}
}

func (r *ranks) try(ctx context.Context, dialer *tls.Dialer, h hello, p *part) (answer, error) {
	conn, err := dialer.DialContext(ctx, "tcp", r.address)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c := &wire{r: conn, w: conn}
	if err := c.send(frameHello, h); err != nil {
		return answer{}, err
	}
	kind, length, err := c.next() // go on, or later
	if err != nil || kind == frameLater {
		return answer{kind: kind}, err
	}
	if _, err := io.CopyN(io.Discard, conn, int64(length)); err != nil {
		return answer{}, err
	}
	for i, side := range sides() {
		if err := c.sendPart(byte(i), side, p); err != nil {
			return answer{}, err
		}
	}
	if err := c.send(frameGo, map[string]any{}); err != nil {
		return answer{}, err
	}
	kind, length, err = c.next()
	if err != nil {
		return answer{}, err
	}
	if length > maxAnswer {
		return answer{}, fmt.Errorf("an answer of %d bytes", length)
	}
	data := make([]byte, length)
	if _, err := io.ReadFull(conn, data); err != nil {
		return answer{}, err
	}
	return answer{kind, data}, nil
}

// maxAnswer bounds a report, maxPart what one rank has read.
const (
	maxAnswer = 512 << 20
	maxPart   = 4 << 30
)

// sendPart sends one side, as a frame whose length is known first.
func (c *wire) sendPart(i byte, side engine.Which, p *part) error {
	var content io.Reader
	var size int64
	switch set, path := p.sets[side], p.tables[side]; {
	case set != nil:
		var b bytes.Buffer
		if err := set.Write(&b); err != nil {
			return err
		}
		content, size = &b, int64(b.Len())
	case path != "":
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("send the %s table: %w", side, err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return fmt.Errorf("send the %s table: %w", side, err)
		}
		content, size = f, info.Size()
	default:
		return nil
	}
	if size+1 >= maxPart {
		return fmt.Errorf("the %s part of %d bytes is larger than %d", side, size, int64(maxPart))
	}
	head := append(binary.LittleEndian.AppendUint32([]byte{framePart}, uint32(size+1)), i)
	if _, err := c.w.Write(head); err != nil {
		return err
	}
	_, err := io.Copy(c.w, content)
	return err
}

// gather takes the parts of the other ranks and returns them by rank, with
// what tells them the answer.
func (r *ranks) gather(ctx context.Context, run int, dir string) (parts []*part, tell func(answer), err error) {
	conf, err := r.tls()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.address)
	if err != nil {
		return nil, nil, engine.Errorf(engine.ProcessError, "rank 0 cannot take what the other ranks read: %v", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	defer listener.Close()
	parts = make([]*part, r.n)
	conns := make([]net.Conn, r.n)
	var mu sync.Mutex
	var wait sync.WaitGroup
	done := make(chan struct{})
	left := r.n - 1
	go func() {
		for {
			raw, err := listener.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				conn := tls.Server(raw, conf)
				rank, p, err := receive(ctx, conn, r.n, run, dir)
				mu.Lock()
				defer mu.Unlock()
				if err != nil || parts[rank] != nil {
					_ = conn.Close() // it tries again, or is none of ours
					return
				}
				parts[rank], conns[rank] = p, conn
				if left--; left == 0 {
					close(done)
				}
			})
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
		_ = listener.Close()
		mu.Lock()
		defer mu.Unlock()
		var missing []string
		for i := 1; i < r.n; i++ {
			if parts[i] == nil {
				missing = append(missing, strconv.Itoa(i))
			} else {
				_ = conns[i].Close()
			}
		}
		return nil, nil, engine.Errorf(engine.ProcessError, "rank %s did not give its part within %s: it has ended, or does not call run(). run(ranks=1) judges a rank's data alone", strings.Join(missing, ", "), r.timeout)
	}
	return parts, func(a answer) {
		for _, conn := range conns {
			if conn == nil {
				continue
			}
			frame := binary.LittleEndian.AppendUint32([]byte{a.kind}, uint32(len(a.data)))
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			_, _ = conn.Write(append(frame, a.data...)) // a rank that is gone has no use for it
			_ = conn.Close()
		}
	}, nil
}

// receive takes one rank's part.
func receive(ctx context.Context, conn net.Conn, n, run int, dir string) (rank int, p *part, err error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c := &wire{r: conn, w: conn}
	kind, length, err := c.next()
	if err != nil || kind != frameHello {
		return 0, nil, errCut
	}
	var h hello
	if err := c.object(length, &h); err != nil {
		return 0, nil, err
	}
	if h.Rank < 1 || h.Rank >= n || h.Run != run {
		_ = c.send(frameLater, nil)
		return 0, nil, errors.New("another run")
	}
	if err := c.send(frameGo, nil); err != nil {
		return 0, nil, err
	}
	p = &part{sets: make(map[engine.Which]*images.Set), tables: make(map[engine.Which]string)}
	for {
		kind, length, err := c.next()
		if err != nil {
			return 0, nil, err
		}
		if kind == frameGo {
			if _, err := io.CopyN(io.Discard, conn, int64(length)); err != nil {
				return 0, nil, err
			}
			return h.Rank, p, nil
		}
		if kind != framePart || length < 1 {
			return 0, nil, fmt.Errorf("a frame %q", kind)
		}
		content := io.LimitReader(conn, int64(length))
		var side [1]byte
		if _, err := io.ReadFull(content, side[:]); err != nil || int(side[0]) >= len(sides()) {
			return 0, nil, errCut
		}
		which := sides()[side[0]]
		if dir == "" {
			if p.sets[which], err = images.ReadSet(content); err != nil {
				return 0, nil, err
			}
			if _, err := io.Copy(io.Discard, content); err != nil {
				return 0, nil, err
			}
			continue
		}
		path := filepath.Join(dir, fmt.Sprintf("%s-%d.arrow", which, h.Rank))
		if err := keep(path, content); err != nil {
			return 0, nil, err
		}
		p.tables[which] = path
	}
}

// keep writes a file.
func keep(path string, content io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("keep a table: %w", err)
	}
	_, err = io.Copy(f, content)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keep a table: %w", err)
	}
	return nil
}

// framed is the JSON of a frame as it goes over the wire.
func framed(kind byte, v any) (answer, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return answer{}, fmt.Errorf("encode a frame: %w", err)
	}
	return answer{kind, data}, nil
}
