package testkit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

const (
	// A first message has its length and its kind, and is never longer.
	startupHeader   = 8
	longestStartup  = 10_000
	protocolVersion = 3 << 16
)

// Afflict does that to the connections of one database, and to no others; the zero
// Fault ends it.
func (p *Proxy) Afflict(database string, fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.victim, p.fault = database, fault
	if !fault.Cut {
		return
	}
	for conn, of := range p.conns {
		if of == database {
			_ = conn.Close()
		}
	}
}

func (p *Proxy) faultOf(database string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if database == "" || database != p.victim {
		return Fault{}
	}
	return p.fault
}

// linger waits, and reports whether the proxy is still at work.
func (p *Proxy) linger(delay time.Duration) bool {
	if delay == 0 {
		return true
	}
	select {
	case <-time.After(delay):
		return true
	case <-p.ending:
		return false
	}
}

// readStartup reads a connection's first message and which database it names. A
// request to cancel names none.
func readStartup(client net.Conn) (message []byte, database string, err error) {
	message = make([]byte, startupHeader, longestStartup)
	if _, err := io.ReadFull(client, message); err != nil {
		return nil, "", err
	}
	length := binary.BigEndian.Uint32(message)
	if length < startupHeader || length > longestStartup {
		return nil, "", errors.New("not a first message of PostgreSQL's protocol")
	}
	message = message[:length]
	if _, err := io.ReadFull(client, message[startupHeader:]); err != nil {
		return nil, "", err
	}
	if binary.BigEndian.Uint32(message[4:]) != protocolVersion {
		return message, "", nil
	}
	parts := bytes.Split(message[startupHeader:], []byte{0})
	for i := 0; i+1 < len(parts); i += 2 {
		if string(parts[i]) == "database" {
			database = string(parts[i+1])
		}
	}
	return message, database, nil
}
