// The address is the state: each view can be bookmarked, sent to a colleague, opened on another screen.
import { createRouter, createWebHistory } from 'vue-router'
import { useSession } from './stores/session'

declare module 'vue-router' {
  interface RouteMeta { open?: boolean; bleed?: boolean }
}

export const router = createRouter({
  history: createWebHistory('/'),
  routes: [
    { path: '/', redirect: (to) => ({ name: 'wall', query: to.query }) },
    { path: '/signin', name: 'signin', component: () => import('./pages/SignIn.vue'), meta: { open: true } },
    { path: '/wall', name: 'wall', component: () => import('./pages/Wall.vue'), meta: { bleed: true } },
    { path: '/map', name: 'map', component: () => import('./pages/MapPage.vue'), meta: { bleed: true } },
    { path: '/playback', name: 'playback', component: () => import('./pages/Playback.vue'), meta: { bleed: true } },
    { path: '/cases', name: 'cases', component: () => import('./pages/Cases.vue') },
    { path: '/cases/new', name: 'case-new', component: () => import('./pages/CaseNew.vue') },
    { path: '/cases/:id', name: 'case', component: () => import('./pages/CaseOne.vue'), props: true },
    { path: '/devices', name: 'devices', component: () => import('./pages/Devices.vue') },
    { path: '/:rest(.*)*', name: 'lost', component: () => import('./pages/Lost.vue') },
  ],
})

router.beforeEach(async (to) => {
  const session = useSession()
  if (!session.asked) {
    try {
      await session.resume()
    } catch {
      // The daemon does not answer: the sign-in page says so when it is tried.
    }
  }
  if (!session.me && !to.meta.open) return { name: 'signin', query: { then: to.fullPath, ...(to.query.player ? { player: to.query.player } : {}) } }
  if (session.me && to.name === 'signin') return typeof to.query.then === 'string' && to.query.then.startsWith('/') ? to.query.then : { name: 'wall' }
  return true
})
