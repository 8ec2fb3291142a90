package localplatform

import (
	"encoding/json"
	"net/http"
)

// bulkResult is what became of one device of a bulk call.
type bulkResult struct {
	Type    string `json:"typeId"`
	ID      string `json:"deviceId"`
	Success bool   `json:"success"`
	Token   string `json:"authToken,omitempty"`
	*exception
}

// addDevices registers each device for itself: 201 if all went well, else 202, and the answer says which did not.
func (c *call) addDevices() (int, any, error) {
	return c.each(http.StatusCreated, func(r *deviceRequest, result *bulkResult) (n uint64, err error) {
		_, result.Token, n, err = c.register(r)
		return n, err
	})
}

// removeDevices removes each for itself: 200 or 202.
func (c *call) removeDevices() (int, any, error) {
	return c.each(http.StatusOK, func(r *deviceRequest, _ *bulkResult) (uint64, error) {
		key := Device{Type: r.Type, ID: r.ID}
		if !c.sees(key) {
			return 0, outside(key)
		}
		return c.remove(key)
	})
}

func (c *call) each(allWell int, do func(*deviceRequest, *bulkResult) (uint64, error)) (int, any, error) {
	var items []json.RawMessage
	if err := c.decode(&items); err != nil {
		return 0, nil, err
	}
	if len(items) == 0 {
		return 0, nil, invalid("the list is empty")
	}
	if err := c.room(); err != nil {
		return 0, nil, err
	}
	status, last := allWell, uint64(0)
	results := make([]bulkResult, len(items))
	for i, item := range items {
		var r deviceRequest
		result := &results[i]
		err := decodeStrictly(item, &r)
		result.Type, result.ID = r.Type, r.ID
		var n uint64
		if err == nil {
			n, err = do(&r, result)
		}
		if err != nil {
			x := asRestError(err).body()
			result.exception, result.Token, status = &x, "", http.StatusAccepted
			continue
		}
		result.Success, last = true, max(last, n)
	}
	return status, results, c.kept(last)
}
