package fleet

import (
	"net"
	"sync"
)

// oneShot is a listener that accepts one stream and then waits for its end. Close lets Accept return.
type oneShot struct {
	conn net.Conn
	next chan net.Conn
	done chan struct{}
	end  sync.Once
}

func newOneShot(c net.Conn) *oneShot {
	l := &oneShot{conn: c, next: make(chan net.Conn, 1), done: make(chan struct{})}
	l.next <- &watched{Conn: c, l: l}
	return l
}

// watched tells its listener when it is closed.
type watched struct {
	net.Conn
	l *oneShot
}

// Close ends the listener with its only stream.
func (w *watched) Close() error {
	err := w.Conn.Close()
	_ = w.l.Close() // never fails
	return err
}

// Accept implements net.Listener.
func (l *oneShot) Accept() (net.Conn, error) {
	select {
	case c := <-l.next:
		return c, nil
	default:
	}
	<-l.done
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (l *oneShot) Close() error {
	l.end.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *oneShot) Addr() net.Addr { return l.conn.LocalAddr() }
