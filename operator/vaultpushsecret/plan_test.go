package vaultpushsecret

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

// A spec that was edited while a push was on its way, or whose push failed, is not pushed: what the server holds is of the
// former spec, and no drift.
func TestUnchangedIsOfTheSpecThatWasPushed(t *testing.T) {
	push := &v1beta1.VaultPushSecret{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
	push.Status.SourceResourceVersion, push.Status.SyncedGeneration, push.Status.ObservedGeneration = "7", 2, 2
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "7"}}
	if !unchanged(push, secret) {
		t.Error("changed right after a push")
	}
	push.Generation = 3
	condition.Set(push, condition.Problemf(v1beta1.ReasonServerSealed, "sealed"), "")
	if unchanged(push, secret) {
		t.Error("an edit whose push failed counts as pushed")
	}
}

func TestNext(t *testing.T) {
	me := self{owner: "VaultPushSecret/shop/app", uid: "1", path: "secret/app", version: "3"}
	mine := map[string]string{ownerMark: me.owner, uidMark: me.uid}
	theirs := map[string]string{ownerMark: "VaultPushSecret/other/app", uidMark: "2"}
	want := map[string]string{"A": "new"}
	same, other := map[string]any{"A": "new"}, map[string]any{"A": "old"}
	with := func(change func(*self)) self {
		changed := me
		change(&changed)
		return changed
	}
	fresh := with(func(s *self) { s.version = "" })
	v1 := with(func(s *self) { s.v1, s.version, s.overwrite = true, "", true })
	tests := []struct {
		name   string
		now    remote
		self   self
		step   step
		reason string
	}{
		{"nothing there", remote{}, fresh, write, ""},
		{"ours, as it should be", remote{same, 3, mine}, me, keep, ""},
		{"ours, and the Secret changed", remote{other, 3, mine}, me, write, ""},
		{"ours, and someone wrote", remote{other, 4, mine}, me, restore, ""},
		{"ours, someone wrote, and it is to be told", remote{other, 4, mine}, with(func(s *self) { s.report = true }), "", v1beta1.ReasonDrift},
		{"ours, the Secret changed, though drift is to be told", remote{other, 3, mine}, with(func(s *self) { s.report = true }), write, ""},
		{"ours, someone deleted it", remote{nil, 3, mine}, me, write, ""},
		{"ours, the status was lost", remote{other, 3, mine}, fresh, write, ""},
		{"ours, the mark was edited away", remote{same, 3, nil}, me, mark, ""},
		{"ours, the mark was edited away, and the Secret changed", remote{other, 3, nil}, me, write, ""},
		{"the mark was edited away and someone wrote", remote{other, 4, nil}, me, "", v1beta1.ReasonTargetConflict},
		{"nobody's, and equal", remote{same, 1, nil}, fresh, mark, ""},
		{"nobody's", remote{other, 1, nil}, fresh, "", v1beta1.ReasonTargetConflict},
		{"nobody's, and deleted", remote{nil, 1, nil}, fresh, "", v1beta1.ReasonTargetConflict},
		{"nobody's, and it is told", remote{other, 1, nil}, with(func(s *self) { s.version, s.overwrite = "", true }), write, ""},
		{"another's", remote{other, 1, theirs}, fresh, "", v1beta1.ReasonTargetConflict},
		{"another's, and equal", remote{same, 1, theirs}, fresh, "", v1beta1.ReasonTargetConflict},
		{"another's, marked before it wrote", remote{nil, 0, theirs}, fresh, "", v1beta1.ReasonTargetConflict},
		{"another's, and it is told", remote{same, 1, theirs}, with(func(s *self) { s.overwrite, s.edited = true, true }), mark, ""},
		{"another's, and it is told from the beginning", remote{other, 1, theirs}, with(func(s *self) { s.version, s.overwrite = "", true }), write, ""},
		{"another took over what we took over", remote{other, 4, theirs}, with(func(s *self) { s.overwrite = true }), "", v1beta1.ReasonTargetConflict},
		{"another took over, and equal", remote{same, 3, theirs}, with(func(s *self) { s.overwrite = true }), "", v1beta1.ReasonTargetConflict},
		{"written, and could not be marked", remote{other, 3, nil}, me, write, ""},
		{"of this name before it was made anew, and equal", remote{same, 3, map[string]string{ownerMark: me.owner, uidMark: "0"}}, fresh, mark, ""},
		{"of this name before it was made anew", remote{other, 3, map[string]string{ownerMark: me.owner, uidMark: "0"}}, fresh, "", v1beta1.ReasonTargetConflict},
		{"KV v1, nothing there", remote{}, v1, write, ""},
		{"KV v1, equal", remote{data: same}, v1, keep, ""},
		{"KV v1, the Secret changed", remote{data: other}, v1, write, ""},
		{"KV v1, someone wrote", remote{data: other}, with(func(s *self) { *s = v1; s.unchanged = true }), restore, ""},
		{"KV v1, someone wrote, and it is to be told", remote{data: other}, with(func(s *self) { *s = v1; s.unchanged, s.report = true, true }), "", v1beta1.ReasonDrift},
		{"a value that is no text", remote{map[string]any{"A": 1}, 3, mine}, me, write, ""},
		{"another key beside", remote{map[string]any{"A": "new", "B": ""}, 4, mine}, me, restore, ""},
	}
	for _, test := range tests {
		got, err := next(test.now, want, test.self)
		problem, _ := condition.As(err)
		reason := ""
		if problem != nil {
			reason = problem.Reason
		}
		if got != test.step || reason != test.reason {
			t.Errorf("%s: %q and %v, want %q and %q", test.name, got, err, test.step, test.reason)
		}
		if err != nil && (strings.Contains(err.Error(), "old") || strings.Contains(err.Error(), "new ")) {
			t.Errorf("%s: a value is in %v", test.name, err)
		}
	}
	if text := fmt.Sprintf("%v %#v", remote{data: other}, remote{data: other}); strings.Contains(text, "old") {
		t.Errorf("a remote prints %s", text)
	}
}

func TestShape(t *testing.T) {
	data := map[string][]byte{"user": []byte("u"), "pass": []byte("p"), "raw": {0xff}}
	tests := []struct {
		name   string
		spec   v1beta1.VaultPushSecretSpec
		want   string
		reason string
	}{
		{"chosen", v1beta1.VaultPushSecretSpec{Excludes: []string{"^raw$"}}, "map[pass:p user:u]", ""},
		{"renamed", v1beta1.VaultPushSecretSpec{Includes: []string{"^user$"}, Rewrite: []v1beta1.KeyRewrite{{Pattern: "^(.*)$", Replacement: "DB_$1"}}}, "map[DB_user:u]", ""},
		{"base64", v1beta1.VaultPushSecretSpec{Includes: []string{"^raw$"}, Encoding: "Base64"}, "map[raw:/w==]", ""},
		{"no text", v1beta1.VaultPushSecretSpec{}, "map[]", v1beta1.ReasonInvalidSpec},
		{"two of one name", v1beta1.VaultPushSecretSpec{Excludes: []string{"raw"}, Rewrite: []v1beta1.KeyRewrite{{Pattern: ".*", Replacement: "x"}}}, "map[]", v1beta1.ReasonInvalidSpec},
		{"no name", v1beta1.VaultPushSecretSpec{Includes: []string{"user"}, Rewrite: []v1beta1.KeyRewrite{{Pattern: "user"}}}, "map[]", v1beta1.ReasonInvalidSpec},
		{"none", v1beta1.VaultPushSecretSpec{Includes: []string{"nothing"}}, "map[]", v1beta1.ReasonSourceNotFound},
		{"no expression", v1beta1.VaultPushSecretSpec{Includes: []string{"("}}, "map[]", v1beta1.ReasonInvalidSpec},
	}
	for _, test := range tests {
		got, err := shape(test.spec, data)
		if fmt.Sprint(got) != test.want || (test.reason != "") != (err != nil) || err != nil && !condition.Is(err, test.reason) {
			t.Errorf("%s: %v, %v", test.name, got, err)
		}
	}
}

func TestPlaceStaysInItsMount(t *testing.T) {
	for _, path := range []string{"../sys", "a//b", "a/./b", "", "a\n"} {
		if _, err := at(v1beta1.VaultPushSecretSpec{Mount: "secret", Path: path}); !condition.Is(err, v1beta1.ReasonInvalidSpec) {
			t.Errorf("path %q: %v", path, err)
		}
	}
	got, err := at(v1beta1.VaultPushSecretSpec{Mount: "/team/secret/", Path: "/a/b/"})
	if err != nil || got.data != "team/secret/data/a/b" || got.meta != "team/secret/metadata/a/b" {
		t.Errorf("%+v, %v", got, err)
	}
}
