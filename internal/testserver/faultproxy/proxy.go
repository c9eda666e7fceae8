package faultproxy

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// Fault is what a proxy does.
type Fault int

const (
	// Pass hands everything on.
	Pass Fault = iota
	// Hang takes connections and bytes and hands nothing on.
	Hang
	// Mute hands requests on and keeps the answers.
	Mute
	// Reset cuts connections, open and new, with a reset.
	Reset
	// HalfClose ends the answers of open and new connections, and goes on taking requests.
	HalfClose
	// Refuse has nobody listen, and cuts open connections.
	Refuse
	// Trickle hands answers on a byte at a time, with a pause after each.
	Trickle
	// Cut hands on the first bytes of each answer and then cuts the connection.
	Cut
)

func (f Fault) String() string {
	return []string{"pass", "hang", "mute", "reset", "half-close", "refuse", "trickle", "cut"}[f]
}

// Proxy is one proxy in front of one server.
type Proxy struct {
	Addr   string // where clients go
	target string

	mu    sync.Mutex
	ln    net.Listener // nil while refusing
	fault Fault
	turn  chan struct{} // closed when the fault changes
	links map[*link]struct{}
	dials int
	wg    sync.WaitGroup
}

type link struct{ client, server net.Conn }

// New starts a proxy, which ends with the test.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{target: target, turn: make(chan struct{}), links: map[*link]struct{}{}}
	// Not a port that the system gives to clients: while nobody listens, one could be given it, and
	// reach itself.
	var ln net.Listener
	var err error
	for range 1000 {
		if ln, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(17000))); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	p.Addr = ln.Addr().String()
	p.listen(ln)
	t.Cleanup(func() {
		p.mu.Lock()
		if p.ln != nil {
			_ = p.ln.Close()
		}
		p.fault = Reset
		close(p.turn)
		p.cut()
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *Proxy) listen(ln net.Listener) {
	p.ln = ln
	p.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(c.(*net.TCPConn)) })
		}
	})
}

// Set begins a fault and ends the one before.
func (p *Proxy) Set(t testing.TB, f Fault) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == Refuse && f != Refuse {
		ln, err := net.Listen("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		p.listen(ln)
	}
	was := p.fault
	p.fault, p.dials = f, 0
	close(p.turn)
	p.turn = make(chan struct{})
	switch {
	case f == Refuse:
		if p.ln != nil {
			_ = p.ln.Close()
			p.ln = nil
		}
		p.cut()
	case f == Reset || was == HalfClose:
		p.cut()
	case f == HalfClose:
		for l := range p.links {
			_ = l.client.(*net.TCPConn).CloseWrite()
		}
	}
}

// Dials is how many connections have come since the fault was set.
func (p *Proxy) Dials() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dials
}

// cut ends all connections with a reset; needs mu.
func (p *Proxy) cut() {
	for l := range p.links {
		_ = l.client.(*net.TCPConn).SetLinger(0)
		_ = l.client.Close()
		_ = l.server.Close()
	}
}

// now is the fault, and a channel that is closed when it is over.
func (p *Proxy) now() (Fault, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.turn
}

func (p *Proxy) serve(c *net.TCPConn) {
	defer func() { _ = c.Close() }()
	p.mu.Lock()
	p.dials++
	f := p.fault
	p.mu.Unlock()
	if f == Reset {
		_ = c.SetLinger(0)
		return
	}
	s, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = c.SetLinger(0)
		return
	}
	defer func() { _ = s.Close() }()
	l := &link{c, s}
	p.mu.Lock()
	p.links[l] = struct{}{}
	if p.fault == HalfClose {
		_ = c.CloseWrite()
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.pump(s, c, false)
		_ = s.Close()
	}()
	p.pump(c, s, true)
	_ = c.Close()
	_ = s.Close()
	<-done
}

// pump hands on from one side to the other, as the fault of the moment has it.
func (p *Proxy) pump(to, from net.Conn, answers bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		for at := 0; at < n; {
			f, over := p.now()
			send := n - at
			switch {
			case f == Hang, f == Mute && answers:
				<-over
				continue
			case f == HalfClose && answers:
				return
			case f == Trickle && answers:
				send = 1
			case f == Cut && answers:
				send = min(send, 9)
			}
			if _, err := to.Write(buf[at : at+send]); err != nil {
				return
			}
			at += send
			switch {
			case f == Cut && answers:
				_ = to.(*net.TCPConn).SetLinger(0)
				return
			case f == Trickle && answers:
				select {
				case <-over:
				case <-time.After(20 * time.Millisecond):
				}
			}
		}
		if err != nil {
			return
		}
	}
}
