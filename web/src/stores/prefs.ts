// What this workstation remembers: the language, nothing else.
import { defineStore } from 'pinia'
import { ref } from 'vue'
import { i18n } from '@/i18n'
import { KEY, storedLocale, type Locale } from '@/lib/locale'


export const usePrefs = defineStore('prefs', () => {
  const locale = ref<Locale>(storedLocale())

  function setLocale(next: Locale): void {
    locale.value = next
    i18n.global.locale.value = next
    document.documentElement.lang = next
    try {
      localStorage.setItem(KEY, next)
    } catch {
      // Then it lasts until the page is closed.
    }
  }

  return { locale, setLocale }
})
