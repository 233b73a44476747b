// Start of the operator console.
import 'element-plus/dist/index.css'
import 'element-plus/theme-chalk/dark/css-vars.css'
import './styles/theme.css'
import './styles/base.css'
import { createPinia } from 'pinia'
import { createApp } from 'vue'
import { whenSignedOut } from './api/http'
import App from './App.vue'
import { i18n } from './i18n'
import { router } from './router'
import { useSession } from './stores/session'

const app = createApp(App)
app.use(createPinia()).use(i18n).use(router)
document.documentElement.lang = i18n.global.locale.value

whenSignedOut(() => {
  const session = useSession()
  if (!session.me) return
  session.ended()
  const here = router.currentRoute.value.fullPath
  void router.replace({ name: 'signin', query: { then: here } })
})

app.mount('#app')
