package relay

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// certificateCheck is how often at most the files are looked at.
const certificateCheck = 3 * time.Second

// A certificate is a key pair in files, read again when they change.
type certificate struct {
	certFile, keyFile string
	clock             func() time.Time
	log               *zap.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	version string // of the files
	checked time.Time
}

func loadCertificate(certFile, keyFile string, clock func() time.Time, log *zap.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, clock: clock, log: log}
	if err := c.load(); err != nil {
		return nil, err
	}
	c.checked = clock()
	return c, nil
}

// config is for servers. Nothing older than TLS 1.2 (RFC 8996).
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}
}

// current gives the newest pair that could be read. While the files are broken, such as between the
// writing of the one and of the other, the old pair stays.
func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock()
	if since := now.Sub(c.checked); since >= 0 && since < certificateCheck {
		return c.pair
	}
	c.checked = now
	if err := c.load(); err != nil {
		c.log.Error("the certificate cannot be read again, the old one stays", zap.Error(err))
	}
	return c.pair
}

// load reads the files if they have changed.
func (c *certificate) load() error {
	version, err := fileVersions(c.certFile, c.keyFile)
	if err == nil && version == c.version {
		return nil
	}
	pair, loadErr := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err := errors.Join(err, loadErr); err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	c.pair, c.version = &pair, version
	return nil
}

// fileVersions tells one content of files from the next by time and size.
func fileVersions(names ...string) (string, error) {
	version := ""
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		version += fmt.Sprintf("%d %d;", info.ModTime().UnixNano(), info.Size())
	}
	return version, nil
}
