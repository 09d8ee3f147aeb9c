package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ConditionReady is the one condition that every kind carries: True with ReasonValid, or False with the reason why not.
const ConditionReady = "Ready"

// Reasons of the Ready condition. The same word stands in the Status column and in events.
const (
	ReasonValid                  = "Valid"
	ReasonPermissionDenied       = "PermissionDenied"       // the login lacks a policy for the path
	ReasonLoginFailed            = "LoginFailed"            // the server refused the service account's login
	ReasonNotFound               = "NotFound"               // no secret at the path, or its version is deleted
	ReasonMountNotFound          = "MountNotFound"          // no secrets engine or auth method where the spec says
	ReasonServerSealed           = "ServerSealed"           // sealed or not yet initialised
	ReasonServerUnreachable      = "ServerUnreachable"      // no answer, or one that is not the server's
	ReasonTemplateError          = "TemplateError"          // a key of target.template does not render
	ReasonTargetConflict         = "TargetConflict"         // the target Secret belongs to someone else
	ReasonTargetRefused          = "TargetRefused"          // the API server does not take the Secret as templated
	ReasonInvalidSpec            = "InvalidSpec"            // the resource itself is wrong
	ReasonServiceAccountNotFound = "ServiceAccountNotFound" // no such service account in the namespace
	ReasonNamespaceNotAllowed    = "NamespaceNotAllowed"    // a VaultAuth is not offered to this namespace
	ReasonConnectionNotFound     = "ConnectionNotFound"     // vaultConnectionRef names nothing
	ReasonAuthNotFound           = "AuthNotFound"           // vaultAuthRef names nothing
	ReasonAuthGlobalNotFound     = "AuthGlobalNotFound"     // vaultAuthGlobalRef names nothing
	ReasonCredentialNotFound     = "CredentialNotFound"     // the Secret that a login takes its credential from lacks it
	ReasonMethodNotSupported     = "MethodNotSupported"     // an auth method that this operator does not speak
)

// Status is what every kind reports.
type Status struct {
	// Status is Valid, or one word that says what is wrong: the reason of the Ready condition.
	// +optional
	Status string `json:"status,omitempty"`
	// ObservedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions hold Ready, with a message that names what is wrong and how to cure it.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// How a resource learns of changes: the values of SyncStatus.Updates.
const (
	UpdatesEvents  = "Events"  // at once, by the server's event stream; a poll now and then makes sure
	UpdatesPolling = "Polling" // by asking again after refreshAfter
)

// CommonStatus gives the part of the status that all kinds share.
func (g *VaultAuthGlobal) CommonStatus() *Status { return &g.Status.Status }

// CommonStatus gives the part of the status that all kinds share.
func (c *VaultConnection) CommonStatus() *Status { return &c.Status.Status }

// CommonStatus gives the part of the status that all kinds share.
func (a *VaultAuth) CommonStatus() *Status { return &a.Status.Status }

// CommonStatus gives the part of the status that all kinds share.
func (s *VaultSecret) CommonStatus() *Status { return &s.Status.Status }
