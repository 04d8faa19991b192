package pages

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// AssetPath is below which static files are served.
const AssetPath = "/static/"

// An asset is a static file.
type asset struct {
	data        []byte
	contentType string
}

// assets are the static files by the name under which they are served: "app.1a2b3c4d.css".
type assets struct {
	files map[string]asset
	names map[string]string // from the name in the folder
}

func newAssets() (*assets, error) {
	a := &assets{files: map[string]asset{}, names: map[string]string{}}
	root, err := fs.Sub(staticFiles, "static")
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		a.add(name, data)
		return nil
	})
	return a, err
}

func (a *assets) add(name string, data []byte) {
	sum := sha256.Sum256(data)
	ext := path.Ext(name)
	served := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
	kind := mime.TypeByExtension(ext)
	switch ext { // not left to what the machine has in its mime.types
	case ".js":
		kind = "text/javascript; charset=utf-8"
	case ".css":
		kind = "text/css; charset=utf-8"
	case ".svg":
		kind = "image/svg+xml"
	case "", ".md", ".LICENSE":
		kind = "text/plain; charset=utf-8"
	}
	a.names[name], a.files[served] = served, asset{data, kind}
}

// ServeHTTP serves a file for ever: its name changes with its content.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := a.files[strings.TrimPrefix(r.URL.Path, AssetPath)]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(f.data) // the client may be gone
}
