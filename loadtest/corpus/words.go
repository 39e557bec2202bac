package corpus

// What the events say. The first of a list is said more often than the last.
var (
	actions = []string{
		"Order Completed", "Order Updated", "Checkout Started", "Payment Info Entered",
		"Product Viewed", "Product Added", "Product Clicked", "Product Removed", "Wishlist Product Added",
		"Button Clicked", "Experiment Viewed", "Form Submitted", "Video Played", "Search Performed", "Chat Opened",
		"Banner Dismissed",
	}
	lists      = []string{"home", "catalogue", "products", "offers", "account", "basket", "checkout", "help", "stories", "returns"}
	labels     = []string{"spring-sale", "header-cta", "footer-link", "newsletter", "hero", "loyalty", "recommended", "exit-intent"}
	variants   = []string{"control", "blue", "large", "compact", "newsletter", "partner"}
	categories = []string{"games", "books", "garden", "kitchen", "music", "outdoor", "toys", "office", "sports"}
	titles     = []string{"Monopoly 3rd Edition", "Cast iron pan", "Träumerei", "Hiking boots", "Noise cancelling headphones", "Café table", "Desk lamp", "Puzzle 1000 pieces", "Garden hose"}
	referrers  = []string{"https://www.google.com/", "", "https://shop.example.com/offers", "https://news.example.org/best-of-2026", "https://m.example.net/"}
	plans      = []string{"free", "team", "business", "enterprise"}
	names      = []string{"Miller", "Okafor", "Nguyen", "García", "Haddad", "Schmidt", "Kowalska", "Rossi", "Ivanova", "Tanaka"}
	cities     = []string{"Vienna", "Lagos", "Hanoi", "Sevilla", "Zürich", "Gdańsk", "Osaka"}
	countries  = []string{"AT", "NG", "VN", "ES", "CH", "PL", "JP"}
	locales    = []string{"en-US", "de-AT", "vi-VN", "es-ES", "pl-PL", "ja-JP"}
	zones      = []string{"Europe/Vienna", "Africa/Lagos", "Asia/Tokyo", "Europe/Madrid", "America/New_York"}
	agents     = []string{
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
		"Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
		"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
	}
)
