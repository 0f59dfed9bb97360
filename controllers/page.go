package controllers

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/gin-gonic/gin"

	"multitenant/models"
)

const (
	defaultPageSize = 50
	maxPageSize     = 100
)

// page is the part of a list that is asked for.
type page struct {
	cursor int64 // the id of the last record of the page before; 0 for the first page
	limit  int
}

// more is how many records to look for: one more than asked for tells whether
// there is a next page.
func (p page) more() int { return p.limit + 1 }

// pageOf reads ?limit= and ?cursor=.
func pageOf(c *gin.Context) (page, error) {
	var (
		checks models.Checks
		err    error
	)
	p := page{limit: defaultPageSize}
	if text, given := c.GetQuery("limit"); given {
		if p.limit, err = strconv.Atoi(text); err != nil || p.limit < 1 || p.limit > maxPageSize {
			checks.Add("limit", "out_of_range", fmt.Sprintf("must be an integer from 1 to %d", maxPageSize))
		}
	}
	if text, given := c.GetQuery("cursor"); given {
		if p.cursor, err = parseCursor(text); err != nil {
			checks.Add("cursor", "invalid_cursor", "must be the next_cursor of an earlier answer")
		}
	}
	return p, checks.Err()
}

// listResponse is a page of a list.
type listResponse[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"` // nil on the last page
}

// listing renders the records that a query for page.more() of them has found.
func listing[R, T any](p page, records []R, id func(*R) int64, render func(*R) T) listResponse[T] {
	list := listResponse[T]{}
	if len(records) > p.limit {
		records = records[:p.limit]
		cursor := newCursor(id(&records[p.limit-1]))
		list.NextCursor = &cursor
	}
	list.Items = each(records, render)
	return list
}

// each renders all records.
func each[R, T any](records []R, render func(*R) T) []T {
	rendered := make([]T, 0, len(records))
	for i := range records {
		rendered = append(rendered, render(&records[i]))
	}
	return rendered
}

// newCursor hides the id it stands for, so that clients do not build their own.
func newCursor(id int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(id, 10)))
}

func parseCursor(text string) (int64, error) {
	id, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(id), 10, 64)
}
