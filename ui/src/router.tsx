import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from '@tanstack/react-router'
import { Empty, Loading, Problem } from './kit'
import { Gate } from './shell/Gate'
import { Shell } from './shell/Shell'

// Every page of the UI, each loaded when it is first asked for. A mount's path may hold slashes: as $mount it is one segment, encoded.

const root = createRootRoute({ component: Outlet })

// A provider of identities sends its window here; it needs no session.
const oidcCallback = createRoute({ getParentRoute: () => root, path: '/vault/auth/$', component: lazyRouteComponent(() => import('./pages/start/OidcCallback')) })

const shell = createRoute({ getParentRoute: () => root, id: 'shell', component: () => <Gate><Shell /></Gate> })
const page = <P extends string>(path: P, load: () => Promise<{ default: () => React.ReactNode }>) =>
  createRoute({ getParentRoute: () => shell, path, component: lazyRouteComponent(load) })

const home = createRoute({ getParentRoute: () => shell, path: '/', beforeLoad: () => { throw redirect({ to: '/secrets' }) } })
const unwrap = createRoute({ getParentRoute: () => root, path: '/unwrap', component: lazyRouteComponent(() => import('./pages/secrets/Unwrap')) })

const pages = [
  page('/secrets', () => import('./pages/secrets/Engines')),
  page('/secrets/enable', () => import('./pages/secrets/Enable')),
  page('/secrets/$mount/list/$', () => import('./pages/secrets/Browse')),
  page('/secrets/$mount/show/$', () => import('./pages/secrets/Secret')),
  page('/secrets/$mount/edit/$', () => import('./pages/secrets/Edit').then((m) => ({ default: m.EditSecret }))),
  page('/secrets/$mount/create/$', () => import('./pages/secrets/Edit').then((m) => ({ default: m.CreateSecret }))),
  page('/policies', () => import('./pages/policies/Policies')),
  page('/policies/create', () => import('./pages/policies/Edit').then((m) => ({ default: m.CreatePolicy }))),
  page('/policies/edit/$name', () => import('./pages/policies/Edit').then((m) => ({ default: m.EditPolicy }))),
  page('/policies/passwords/create', () => import('./pages/policies/Passwords').then((m) => ({ default: m.CreatePassword }))),
  page('/policies/passwords/edit/$name', () => import('./pages/policies/Passwords').then((m) => ({ default: m.EditPassword }))),
  page('/auth', () => import('./pages/auth/Methods')),
  page('/auth/$mount', () => import('./pages/auth/Method')),
  page('/auth/$mount/create', () => import('./pages/auth/Item').then((m) => ({ default: m.CreateItem }))),
  page('/auth/$mount/edit/$name', () => import('./pages/auth/Item').then((m) => ({ default: m.EditItem }))),
  page('/tokens', () => import('./pages/tokens/Tokens')),
  page('/identity', () => import('./pages/identity/Identity')),
  page('/identity/entity/$id', () => import('./pages/identity/One').then((m) => ({ default: m.EntityPage }))),
  page('/identity/group/$id', () => import('./pages/identity/One').then((m) => ({ default: m.GroupPage }))),
  page('/namespaces', () => import('./pages/namespaces/Namespaces')),
  page('/quotas', () => import('./pages/quotas/Quotas')),
  page('/cluster', () => import('./pages/cluster/Cluster')),
  page('/kubernetes', () => import('./pages/kubernetes/Kubernetes')),
  page('/audit', () => import('./pages/audit/Audit')),
] as const

export const router = createRouter({
  basepath: '/ui',
  routeTree: root.addChildren([oidcCallback, unwrap, shell.addChildren([home, ...pages])]),
  defaultPreload: 'intent',
  defaultPendingComponent: Loading,
  defaultErrorComponent: ({ error, reset }) => <Problem error={error} retry={reset} />,
  defaultNotFoundComponent: () => <Empty icon="search" title="There is no such page"><p>The address may be mistyped, or from another version.</p></Empty>,
})

declare module '@tanstack/react-router' {
  interface Register { router: typeof router }
}
