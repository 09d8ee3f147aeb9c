import { useMay } from '../../api/queries'
import { PageHead } from '../../kit'
import { Tabs } from '../../kit/parts'
import { About } from './About'
import { Browsers } from './Browsers'
import { Metrics } from './Metrics'
import { Nodes } from './Nodes'
import { Seal } from './Seal'
import { Snapshots } from './Snapshots'

/** The servers themselves. */
export default function Cluster() {
  const mayNodes = useMay('sys/storage/raft/configuration', 'read')
  const maySnapshot = useMay('sys/storage/raft/snapshot', 'read')
  const mayPlan = useMay('sys/storage/raft/snapshot-auto/config', 'list', 'sudo')
  const mayBrowsers = useMay('sys/config/cors', 'read', 'sudo')
  const mayMetrics = useMay('sys/metrics', 'read')
  return (
    <div>
      <PageHead title="Cluster" about="The nodes that serve this, how well they are, and what keeps their data safe." />
      <Tabs label="About the cluster" tabs={[
        mayNodes && { id: 'nodes', label: 'Nodes', show: () => <Nodes /> },
        (maySnapshot || mayPlan) && { id: 'snapshots', label: 'Snapshots', show: () => <Snapshots mayTake={maySnapshot} mayPlan={mayPlan} /> },
        { id: 'seal', label: 'Seal', show: () => <Seal /> },
        mayMetrics && { id: 'metrics', label: 'Metrics', show: () => <Metrics /> },
        mayBrowsers && { id: 'browsers', label: 'Browsers', show: () => <Browsers /> },
        { id: 'about', label: 'Version', show: () => <About /> },
      ]} />
    </div>
  )
}
