package milter

// Live is nil while Postfix can connect. It answers at once: a watchdog may ask.
func (m *Milter) Live() error { return m.shell.Live() }
