package backups

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"time"

	"multitenant/backups/archive"
	"multitenant/backups/store"
)

// proof is the small object that says how a verification ended. That it exists is
// enough for most: its name has the level.
type proof struct {
	At      time.Time `json:"at"`
	Problem string    `json:"problem"` // empty if the backup is whole
}

// NoteProof keeps in the store how the verification of a backup ended, so that it is
// known where core is lost, and returns the result. Only where the archive is not the
// one that was written is it known to be damaged: an identity may be the wrong one.
func NoteProof(ctx context.Context, in store.Store, r *Record, level int, result error) error {
	var err error
	switch {
	case result == nil:
		err = noteWhole(ctx, in, r, level)
	case !errors.Is(result, archive.ErrDamaged):
	case errors.Is(readBack(ctx, in, r), archive.ErrDamaged):
		err = note(ctx, in, r.markName(damageSuffix), &proof{Problem: result.Error()})
	}
	if err != nil {
		err = fmt.Errorf("the result cannot be kept: %w", err)
	}
	return errors.Join(result, err)
}

func noteWhole(ctx context.Context, in store.Store, r *Record, level int) error {
	if err := in.Remove(ctx, r.markName(damageSuffix)); err != nil || level < LevelReadable {
		return err // each backup has been read back
	}
	return note(ctx, in, r.markName(proofSuffix+strconv.Itoa(level)), &proof{})
}

// note keeps the first of the same kind: what it says is still true.
func note(ctx context.Context, in store.Store, name string, p *proof) error {
	p.At = time.Now().UTC().Truncate(time.Second)
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	err = in.Put(ctx, name, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
