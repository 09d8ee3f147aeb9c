package v1beta1

// CommonStatus gives the part of the status that all kinds share.
func (s *VaultStaticSecret) CommonStatus() *Status { return &s.Status.Status }

// CommonStatus gives the part of the status that all kinds share.
func (s *VaultDynamicSecret) CommonStatus() *Status { return &s.Status.Status }

// CommonStatus gives the part of the status that all kinds share.
func (s *VaultPKISecret) CommonStatus() *Status { return &s.Status.Status }

// CommonStatus gives the part of the status that all kinds share.
func (s *SecretTransformation) CommonStatus() *Status { return &s.Status.Status }

// SyncStatus gives what every kind that fills a Secret reports.
func (s *VaultSecret) SyncStatus() *SyncStatus { return &s.Status.SyncStatus }

// SyncStatus gives what every kind that fills a Secret reports.
func (s *VaultStaticSecret) SyncStatus() *SyncStatus { return &s.Status.SyncStatus }

// SyncStatus gives what every kind that fills a Secret reports.
func (s *VaultDynamicSecret) SyncStatus() *SyncStatus { return &s.Status.SyncStatus }

// SyncStatus gives what every kind that fills a Secret reports.
func (s *VaultPKISecret) SyncStatus() *SyncStatus { return &s.Status.SyncStatus }

// CopiedTo gives the namespaces that have a copy of the target, or are about to get one.
func (s *VaultSecret) CopiedTo() *[]string { return &s.Status.Copies }
