package ssh

import "time"

// SetLinger makes tests quick: connections that nobody uses are closed sooner.
func (p *Provider) SetLinger(d time.Duration) { p.pool.Linger = d }
