package transit

import "strongroom/internal/schema"

// What is answered, as the OpenAPI document has it; tests hold the answers against it.

// keyInfo is a key as a read shows it.
type keyInfo struct {
	Name              string                `json:"name"`
	Type              string                `json:"type"`
	Derived           bool                  `json:"derived"`
	Exportable        bool                  `json:"exportable"`
	PlaintextBackup   bool                  `json:"allow_plaintext_backup"`
	DeletionAllowed   bool                  `json:"deletion_allowed"`
	AutoRotate        int64                 `json:"auto_rotate_period" help:"Seconds; 0: never."`
	Keys              map[string]keyVersion `json:"keys" help:"By number."`
	Latest            int                   `json:"latest_version"`
	MinDecryption     int                   `json:"min_decryption_version"`
	MinEncryption     int                   `json:"min_encryption_version"`
	MinAvailable      int                   `json:"min_available_version"`
	Encrypts          bool                  `json:"supports_encryption"`
	Decrypts          bool                  `json:"supports_decryption"`
	Signs             bool                  `json:"supports_signing"`
	Derives           bool                  `json:"supports_derivation"`
	Imported          bool                  `json:"imported_key"`
	AllowRotation     bool                  `json:"imported_key_allow_rotation,omitempty"`
	SoftDeleted       bool                  `json:"soft_deleted,omitempty"`
	Size              int                   `json:"key_size,omitempty" help:"Bytes of an HMAC key."`
	KDF               string                `json:"kdf,omitempty"`
	Convergent        bool                  `json:"convergent_encryption,omitempty"`
	ConvergentVersion int                   `json:"convergent_encryption_version,omitempty"`
}

// keyVersion is the second in which a version of a symmetric key was made, or a pair.
type keyVersion struct{}

func (keyVersion) Forms() schema.Either { return schema.Either{int64(0), pair{}} }

// batchResults are those of a batch, in its order.
type batchResults struct {
	Results []result `json:"batch_results"`
}

type datakeys struct {
	Pairs      []result `json:"key_pairs"`
	KeyVersion int      `json:"key_version"`
}

type exportedKey struct {
	Name string            `json:"name"`
	Type string            `json:"type"`
	Keys map[string]string `json:"keys" help:"By number."`
}

type csrInfo struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Version int    `json:"version"`
	CSR     string `json:"csr"`
}

type backupInfo struct {
	Backup string `json:"backup"`
}

type sumInfo struct {
	Sum string `json:"sum"`
}

type randomInfo struct {
	Bytes string `json:"random_bytes"`
}

type wrappingKeyInfo struct {
	PublicKey string `json:"public_key"`
}
