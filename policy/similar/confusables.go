package similar

// looksLike lists for each Latin letter, from a to z, the letters of other alphabets that are drawn like it. Capitals
// stand apart from small letters where they look like different ones (Greek eta: H and n). The choice is
// from Unicode's confusables.txt (UTS 39), kept to what is drawn alike in mail. The mapping is the
// same for everybody, so text that is really Greek or Russian stays as different as it was.
var looksLike = [26]string{
	"АаΑαɑᴀꓮᎪæɐ",     // a
	"ВвΒβƄЬьʙɓꓐᏴƀ",   // b
	"СсϹϲᴄƈꓚᏟⲥ",      // c
	"ԁԀᴅɖɗđĐÐðꓓᎠᏧժ",  // d
	"ЕеΕεᴇɛҽєꓰᎬəɘ℮",  // e
	"Ϝƒꜰғꓝքẝ",        // f
	"ɡɢǥցԌɠꓖᏀ",       // g
	"НнΗһҺհʜɦħĦꓧᎻԋ",  // h
	"ІіΙιıɪɩɨӀӏꓲᎥ",   // i
	"ЈјϳᴊʝյꓙᎫ",       // j
	"КкΚκᴋƙꓗᏦқҚ",     // k
	"ʟɭłŁլꓡᏞԼ",       // l
	"МмΜᴍɱꓟᎷ",        // m
	"ΝɴɲոռηպꓠПп",     // n
	"ОоΟοσᴏɵøØօՕꓳөⲟ", // o
	"РрΡρᴘƥþꓑᏢ",      // p
	"ԛԚʠզգ",          // q
	"ГгʀɾɍꓣᏒᎡ",       // r
	"ЅѕꜱʂՏꓢᏚᏕ",       // s
	"ТтΤτᴛƭŧŦꓔᎢ",     // t
	"υսᴜՍꓴµμцЦ",      // u
	"ѴѵνᴠʋꓦᏙ",        // v
	"ԜԝѡωᴡⱳꓪᎳաшШ",    // w
	"ХхΧχꓫ",          // x
	"УуΥγʏүҮƴꓬұҰ",    // y
	"ΖᴢʐꓜᏃƶƵ",        // z
}

// latin gives the Latin letter that a letter is taken for.
var latin = latinTable()

func latinTable() map[rune]byte {
	t := map[rune]byte{}
	for i, group := range looksLike {
		for _, r := range group {
			t[r] = 'a' + byte(i)
		}
	}
	return t
}
