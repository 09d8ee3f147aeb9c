import { expect, test } from 'vitest'
import type { Mount } from '../../api/queries'
import { linkOf } from './link'

const mount = (type: string, version?: string): Mount => ({ type, description: '', options: version ? { version } : null })
const mounts = { 'secret/': mount('kv', '2'), 'old/': mount('kv', '1'), 'pki/': mount('pki'), 'secret/team/': mount('kv', '2') }

test('the page of a path', () => {
  const page = (at: string) => { const link = linkOf(at, mounts); return link && [link.to, link.params] }
  expect(page('secret/data/a/b')).toEqual(['/secrets/$mount/show/$', { mount: 'secret/', _splat: 'a/b' }])
  expect(page('secret/data/a/')).toEqual(['/secrets/$mount/list/$', { mount: 'secret/', _splat: 'a/' }])
  expect(page('secret/team/data/x')).toEqual(['/secrets/$mount/show/$', { mount: 'secret/team/', _splat: 'x' }])
  expect(page('old/data/x')).toEqual(['/secrets/$mount/show/$', { mount: 'old/', _splat: 'data/x' }])
  expect(page('pki/issue/web')).toEqual(['/secrets/$mount/list/$', { mount: 'pki/', _splat: '' }])
  expect(page('secret/metadata/a')).toBeUndefined()
  expect(page('none/data/a')).toBeUndefined()
  expect(linkOf('secret/data/a', undefined)).toBeUndefined()
})
