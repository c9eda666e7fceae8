package feature

import "fmt"

// Entity is what features describe: a customer, an airport. Its join keys
// identify one; a row whose join key is null goes to quarantine.
type Entity struct {
	Meta     Meta    `json:"metadata"`
	JoinKeys []Field `json:"join_keys"` // at least one; Path is set on the view, not here
}

func (e *Entity) Kind() Kind     { return KindEntity }
func (e *Entity) GetMeta() *Meta { return &e.Meta }
func (e *Entity) Refs() []Ref    { return nil }

func (e *Entity) Check() []Fault {
	f := e.Meta.check()
	if len(e.JoinKeys) == 0 {
		f = append(f, Fault{"spec.join_keys", "at least one join key is required, like {name: customer_id, type: string}"})
	}
	seen := map[string]bool{}
	for i, k := range e.JoinKeys {
		at := fmt.Sprintf("spec.join_keys[%d]", i)
		f = append(f, CheckName(at+".name", k.Name)...)
		if seen[k.Name] {
			f = append(f, Fault{at + ".name", fmt.Sprintf("%q is there twice", k.Name)})
		}
		seen[k.Name] = true
		if !k.Type.KeyType() {
			f = append(f, Fault{at + ".type", fmt.Sprintf("%s cannot be a join key: use bool, int32, int64, string, bytes or timestamp", k.Type)})
		}
		if k.RenamedFrom != "" || k.Column != "" {
			f = append(f, Fault{at + ".renamed_from", "a join key cannot be renamed: rows, online keys and spines are found by it; define another entity, and views of it under other names"})
		}
		if k.Path != "" {
			f = append(f, Fault{at + ".path", "a join key's path in the event is set on the view: spec.keys"})
		}
	}
	return f
}
