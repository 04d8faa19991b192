package postfix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/shell"
	"go.uber.org/zap"
)

// Bounds of the helper's side.
const (
	maxConnections = 64
	questionTime   = 10 * time.Second // for a peer to say what it wants
	idleTime       = 60 * time.Second // for a peer to read on
	drainTime      = 30 * time.Second
)

// ServerConfig says which Postfix a [Server] serves, and whom.
type ServerConfig struct {
	Socket   string // where to listen
	Config   string // the directory of main.cf
	Postconf string // the program that says where the others are
	UID      int    // who may ask, besides root
	GID      int    // the group that may reach the socket
}

// A Server is the small root process between the gateway and Postfix.
type Server struct {
	config   ServerConfig
	programs programs
	spool    spool
	waker    *waker
	log      *zap.Logger

	changing sync.Mutex // held by the verb that changes the queue
	listener net.Listener
}

var errNotRoot = errors.New("postsuper works for root only: run the helper as root")

// NewServer asks Postfix's configuration where things are. It does not listen yet.
func NewServer(ctx context.Context, config ServerConfig, log *zap.Logger) (*Server, error) {
	if os.Geteuid() != 0 {
		return nil, errNotRoot
	}
	for _, path := range []string{config.Socket, config.Config, config.Postconf} {
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("%q is not an absolute path", path)
		}
	}
	l, err := askLayout(ctx, config.Postconf, config.Config)
	if err != nil {
		return nil, err
	}
	return newServer(config, l, log)
}

func newServer(config ServerConfig, l layout, log *zap.Logger) (*Server, error) {
	root, err := os.OpenRoot(l.queue)
	if err != nil {
		return nil, fmt.Errorf("open the queue directory: %w", err)
	}
	return &Server{
		config: config,
		programs: programs{
			postsuper: filepath.Join(l.commands, "postsuper"),
			postqueue: filepath.Join(l.commands, "postqueue"),
			config:    config.Config,
		},
		spool: spool{root: root, hashed: l.hashed, depth: l.depth},
		waker: newWaker(func() error { return triggerQueueManager(l.queue) }, log),
		log:   log,
	}, nil
}

// Listen opens the socket.
func (s *Server) Listen() (err error) {
	s.listener, err = listen(s.config.Socket, s.config.GID)
	return err
}

// Serve answers until the context ends, and then lets what is under way finish for up to 30 s.
// Listen comes first.
func (s *Server) Serve(ctx context.Context) error {
	defer s.spool.root.Close()
	sh := shell.New(shell.Limits{Connections: maxConnections, Idle: idleTime}, s.log)
	// What was begun is finished, also after ctx has ended.
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	var loops sync.WaitGroup
	loops.Go(func() { s.waker.run(working) })
	served := make(chan error, 1)
	go func() {
		served <- sh.Serve(shell.Port{Listener: s.listener, Refusal: endFrame(errBusy)},
			func(c *shell.Conn) { s.answer(working, c) })
	}()
	s.log.Info("serving", zap.String("socket", s.config.Socket), zap.String("postfix", s.config.Config),
		zap.Int("uid", s.config.UID))
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(working, drainTime)
	err = errors.Join(err, sh.Drain(limit))
	cancel()
	stop()
	loops.Wait()
	return err
}

// onlyRootWrites refuses a directory in which somebody else could put a link in the place of the
// socket, which root is about to change the owner of.
func onlyRootWrites(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if uid, known := ownerOf(info); known && uid != 0 || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s can be written by others than root: give the socket a directory of its own, such as %s", dir, filepath.Dir(DefaultSocket))
	}
	return nil
}

// listen opens the unix socket. A file that a dead process left is replaced, one on which somebody
// answers is not.
func listen(path string, gid int) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := onlyRootWrites(filepath.Dir(path)); err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is in the way: it is not a socket", path)
	default:
		if c, err := net.Dial("unix", path); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("%s is in use by another process", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// Until here the umask decided who may connect; who may ask is checked in any case.
	if err := errors.Join(os.Chown(path, 0, gid), os.Chmod(path, 0o660)); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}
