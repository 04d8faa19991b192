package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// A seal encrypts the frames of a backup with AES-256-GCM. Its keys are derived from the store's key and the
// backup's salt (HKDF, RFC 5869), so that no nonce comes twice; frames are numbered, so that none can be left out
// or moved unseen. The end of the backup is authenticated by an HMAC of its checksum.
type seal struct {
	frames cipher.AEAD
	next   uint64
	macKey []byte
}

func newSeal(key []byte, salt string) (*seal, error) {
	const purpose = "sendgate backup 1"
	keys, err := hkdf.Key(sha256.New, key, []byte(salt), purpose, 64)
	if err != nil {
		return nil, fmt.Errorf("key of the backup: %w", err)
	}
	block, err := aes.NewCipher(keys[:32])
	if err != nil {
		return nil, fmt.Errorf("key of the backup: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("key of the backup: %w", err)
	}
	return &seal{frames: aead, macKey: keys[32:]}, nil
}

func (s *seal) nonce() []byte {
	n := binary.BigEndian.AppendUint64(make([]byte, s.frames.NonceSize()-8, s.frames.NonceSize()), s.next)
	s.next++
	return n
}

func (s *seal) close(frame []byte) []byte { return s.frames.Seal(nil, s.nonce(), frame, nil) }

func (s *seal) open(frame []byte) ([]byte, error) {
	plain, err := s.frames.Open(nil, s.nonce(), frame, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: the key is not the one it was made with, or it was altered", ErrBackup)
	}
	return plain, nil
}

func (s *seal) mac(sum []byte) string {
	m := hmac.New(sha256.New, s.macKey)
	m.Write(sum)
	return hex.EncodeToString(m.Sum(nil))
}

func (s *seal) verifies(sum []byte, mac string) bool {
	return hmac.Equal([]byte(s.mac(sum)), []byte(mac))
}
